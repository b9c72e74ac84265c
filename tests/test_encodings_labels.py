"""Class maps drawn and read back, with colours worked by hand and a pixel-by-pixel reading."""

import numpy as np
import pytest
import torch

from addp_bench.errors import BadData, BadOption
from addp_bench.plugins import encodings_labels
from addp_bench.plugins.encodings_labels import ADE20K, ClassMask, Palette, nearest_colour, painter, sharing
from addp_bench.registry import Registry
from addp_bench.types import UNLABELLED, Query, Sample, to_batch, to_uint8

TABLETOP = ("background", "ball", "cube", "cylinder", "cone", "capsule")
VOC = ("sea", "sky", "boat")  # without a background
ASKED = Sample("a", "a", np.zeros((2, 2, 3), np.uint8), None, "")


def picture(*colours):
    """One row of pixels, each repeated twice downwards: (1, 3, 2, N) in [-1, 1]."""
    return to_batch(np.array([[colours, colours]], np.uint8))


def maps(classes, count=3, unlabelled=True):
    rng = np.random.default_rng(classes)
    labels = [*range(classes), *([UNLABELLED] if unlabelled else [])]
    return torch.from_numpy(rng.choice(labels, (count, 9, 7)))


def image_like(truth):
    return torch.rand(len(truth), 3, *truth.shape[1:], generator=torch.Generator().manual_seed(0)) * 2 - 1


# ------------------------------------------------------------------------------------------------ palette


def test_painters_colours_for_150_classes():
    table = painter(150)
    assert [table[i] for i in (0, 1, 6, 149)] == [(255, 255, 255), (255, 255, 213), (255, 213, 255), (87, 255, 45)]
    assert table == [(255 - 42 * (k // 36), 255 - 42 * (k % 36 // 6), 255 - 42 * (k % 6)) for k in range(150)]
    apart = [sum(abs(a - b) for a, b in zip(one, other)) for k, one in enumerate(table) for other in table[:k]]
    assert min(apart) == 42


def test_painters_colours_for_the_built_in_world_by_hand():  # n = 2, step 128
    assert painter(6) == [
        (255, 255, 255), (255, 255, 127), (255, 127, 255), (255, 127, 127), (127, 255, 255), (127, 255, 127)
    ]  # fmt: skip


@pytest.mark.parametrize("classes, n", [(1, 2), (7, 2), (8, 3), (26, 3), (27, 4), (63, 4), (64, 5), (125, 6), (215, 6)])
def test_the_number_of_shades_is_the_cube_root_rounded_down_and_one(classes, n):
    step = 256 // n
    assert painter(classes)[-1] == tuple(255 - step * d for d in divmod_thrice(classes - 1, n))


def divmod_thrice(i, n):
    return i // (n * n), i % (n * n) // n, i % n


def test_no_two_classes_share_a_colour_and_none_is_black_whatever_their_number():
    for classes in [*range(1, 400), 511, 512, 1000, 4096, 30_000]:
        table = painter(classes)
        assert len(set(table)) == classes
        assert (0, 0, 0) not in table
        assert all(0 <= value <= 255 for value in np.ravel(table))
        assert sharing(table) == []


def test_the_datasets_own_colours_are_not_all_different():
    assert len(ADE20K) == 150
    assert ADE20K[0] == (0x78, 0x78, 0x78)
    assert ADE20K[-1] == (0x5C, 0x00, 0xFF)
    assert [k + 1 for k in sharing(ADE20K)] == [7, 49]  # road and skyscraper
    assert sum(abs(a - b) for a, b in zip(ADE20K[5], ADE20K[13])) == 10
    encoding = Palette("ade20k")
    names = [f"class {k}" for k in range(151)]
    assert encoding.queries(ASKED, names[:48])[0].table == tuple(ADE20K[:48])
    with pytest.raises(BadOption, match=r"'class 6' \(6\) and 'class 48' \(48\) are both \(140, 140, 140\)"):
        encoding.queries(ASKED, names[:49])
    with pytest.raises(BadOption, match="are both"):
        encoding.queries(ASKED, names)


@pytest.mark.parametrize("table, found", [(painter(150), 29), (ADE20K, 68)])
def test_the_nearest_colour_of_a_worked_pixel(table, found):
    label, _ = nearest_colour(torch.tensor([250.0, 100.0, 60.0]).view(1, 3, 1, 1), table)
    assert label.item() == found
    assert painter(150)[29] == (255, 87, 45)


def test_nearest_by_either_distance_is_what_looking_at_every_pixel_says():
    rng = np.random.default_rng(0)
    for _ in range(40):
        table = [tuple(c) for c in rng.integers(0, 256, (int(rng.integers(1, 9)), 3)).tolist()]
        drawn = rng.integers(0, 256, (1, 3, 8, 8))
        for distance, power in (("abs", 1), ("square", 2)):
            label, away = nearest_colour(torch.from_numpy(drawn).float(), table, distance)
            for y, x in np.ndindex(8, 8):
                each = [sum(abs(int(a) - b) ** power for a, b in zip(drawn[0, :, y, x], c)) for c in table]
                assert label[0, y, x] == each.index(min(each))
                assert away[0, y, x] == min(each)


def test_of_equally_near_colours_the_first_is_read():
    asked = Palette().queries(ASKED, TABLETOP[:2])  # (255, 255, 255) and (255, 255, 127)
    drawn = picture((255, 255, 191), (255, 255, 190))
    assert Palette().decode(drawn, drawn[0], asked).tolist() == [[0, 1]] * 2


def test_l1_and_squared_l2_are_not_the_same():
    asked = Palette().queries(ASKED, TABLETOP)
    drawn = picture((127, 201, 199))  # cyan-white: 110 of (127, 255, 255); white: 238
    near = {(d, r): Palette(distance=d, ignore_radius=r).decode(drawn, drawn[0], asked)[0, 0].item()
            for d in ("abs", "square") for r in (77, 78, 109, 110)}  # fmt: skip
    # L1: 54 + 56 = 110. Euclidean: sqrt(54^2 + 56^2) = 77.79
    assert near == {("abs", 77): 255, ("abs", 78): 255, ("abs", 109): 255, ("abs", 110): 4,
                    ("square", 77): 255, ("square", 78): 4, ("square", 109): 4, ("square", 110): 4}  # fmt: skip


def test_what_nobody_knows_is_black_and_says_so():
    truth = torch.tensor([[[0, 3, UNLABELLED]]])
    drawing = Palette().encode(image_like(truth), truth, Palette().queries(ASKED, TABLETOP))
    assert to_uint8(drawing.rgb)[0, 0].tolist() == [[255, 255, 255], [255, 127, 127], [0, 0, 0]]
    assert drawing.valid.tolist() == [[[True, True, False]]]
    assert drawing.painted is None
    assert Palette.partial


def test_a_label_beyond_the_vocabulary_is_refused():
    asked = Palette().queries(ASKED, VOC)
    for wrong in (3, 254, -1):
        truth = torch.tensor([[[0, wrong]]])
        with pytest.raises(BadData, match=f"label {wrong}; the vocabulary has 3 classes"):
            Palette().encode(image_like(truth), truth, asked)


# ------------------------------------------------------------------------------------------------ both


@pytest.mark.parametrize("encoding", [Palette(), Palette("ade20k"), Palette(distance="square", ignore_radius=1.0),
                                      ClassMask(), ClassMask(threshold=10, reads="red"), ClassMask("solid"),
                                      ClassMask("solid", color="0,0,255", radius=5)])  # fmt: skip
@pytest.mark.parametrize("vocabulary", [TABLETOP, VOC])
def test_a_drawn_class_map_reads_back(encoding, vocabulary):
    truth = maps(len(vocabulary))
    image = torch.full((3, 3, 9, 7), 0.2)
    asked = encoding.queries(ASKED, vocabulary)
    for labels, photo in zip(truth, image):
        k = len(asked)
        drawing = encoding.encode(photo.expand(k, -1, -1, -1), labels.expand(k, -1, -1), asked)
        assert drawing.rgb.shape == (k, 3, 9, 7)
        assert torch.equal(drawing.valid, (labels != UNLABELLED).expand(k, -1, -1))
        read = encoding.decode(to_batch(to_uint8(drawing.rgb)), photo, asked)
        assert read.dtype == torch.int64
        assert torch.equal(read[labels != UNLABELLED], labels[labels != UNLABELLED])


@pytest.mark.parametrize("encoding", [Palette(), ClassMask()])
@pytest.mark.parametrize("vocabulary", [(), ["x"] * 256])
def test_classes_are_drawn_by_name(encoding, vocabulary):
    with pytest.raises(BadData, match="1 to 255"):
        encoding.queries(ASKED, vocabulary)


# ------------------------------------------------------------------------------------------------ one drawing each


def test_every_class_but_the_background_is_asked_for_by_name():
    asked = ClassMask().queries(ASKED, TABLETOP)
    assert [q.prompt for q in asked] == [f"segment the {name}" for name in TABLETOP[1:]]
    assert [q.label for q in asked] == [1, 2, 3, 4, 5]
    assert [q.prompt for q in ClassMask(prompt="mark every %").queries(ASKED, VOC)][2] == "mark every boat"
    with pytest.raises(BadData, match="the background alone"):
        ClassMask().queries(ASKED, ("background",))


def test_a_drawing_is_the_mask_of_its_class():
    truth = torch.tensor([[[0, 1, 2, UNLABELLED]]]).expand(2, -1, -1)
    image = image_like(truth)
    drawing = ClassMask("solid").encode(image, truth, ClassMask("solid").queries(ASKED, TABLETOP)[:2])
    assert drawing.painted.tolist() == [[[False, True, False, False]], [[False, False, True, False]]]
    assert drawing.valid.tolist() == [[[True, True, True, False]]] * 2
    assert torch.equal(drawing.rgb[0, :, 0, 2], image[0, :, 0, 2])
    black = ClassMask().encode(image, truth, ClassMask().queries(ASKED, TABLETOP)[:2])
    assert black.rgb[:, 0].tolist() == [[[-1, 1, -1, -1]], [[-1, -1, 1, -1]]]


@pytest.mark.parametrize("encoding, ball, cube, cone", [
    (ClassMask(), (200, 200, 200), (220, 220, 220), (120, 120, 120)),
    (ClassMask("solid"), (225, 0, 0), (255, 20, 0), (255, 60, 0)),
    (ClassMask(threshold=10, reads="red"), (11, 255, 255), (12, 0, 0), (10, 255, 255)),
])  # fmt: skip
def test_who_comes_nearest_to_the_colour_gets_the_pixel(encoding, ball, cube, cone):
    asked = [q for q in encoding.queries(ASKED, TABLETOP) if q.label in (1, 2, 4)]
    nothing = (0, 0, 0)
    #            all three claim (cone below its limit), ball and cone, cone alone, nobody, a tie
    rows = [
        [ball, ball, nothing, nothing, ball],
        [cube, nothing, nothing, nothing, ball],
        [cone, cone, cone, nothing, ball],
    ]
    drawn = torch.cat([picture(*row) for row in rows])
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):  # whatever the order of the drawings
        read = encoding.decode(drawn[order], drawn[0], [asked[k] for k in order])
        assert read.tolist() == [[2, 1, 0, 0, 1]] * 2


def test_a_pixel_that_nobody_claims_has_no_class_where_there_is_no_background():
    encoding = ClassMask()
    asked = encoding.queries(ASKED, VOC)
    drawn = torch.cat([picture((0, 0, 0), white) for white in ((0, 0, 0), (255, 255, 255), (0, 0, 0))])
    assert encoding.decode(drawn, drawn[0], asked).tolist() == [[UNLABELLED, 1]] * 2


@pytest.mark.parametrize("seed", range(30))
def test_merging_is_what_looking_at_every_pixel_says(seed):
    rng = np.random.default_rng(seed)
    solid, radius = bool(seed % 2), 150
    encoding = ClassMask("solid", radius=radius) if solid else ClassMask()
    vocabulary = TABLETOP if seed % 3 else VOC
    asked = encoding.queries(ASKED, vocabulary)
    values = [0, 60, 127, 128, 254, 255]  # few, so that there are ties
    drawn = rng.choice(values, (len(asked), 6, 5, 3)).astype(np.uint8)
    read = encoding.decode(to_batch(drawn), torch.zeros(3, 6, 5), asked)
    for y, x in np.ndindex(6, 5):
        claims = []
        for query, pixel in zip(asked, drawn[:, y, x].tolist()):
            r, g, b = pixel
            away = (255 - r) ** 2 + g * g + b * b if solid else 255_000 - (299 * r + 587 * g + 114 * b)
            if away <= radius**2 if solid else away < 255_000 - 127_000:
                claims.append((away, query.label))
        rest = 0 if vocabulary is TABLETOP else UNLABELLED
        assert read[y, x] == (min(claims)[1] if claims else rest)


@pytest.mark.parametrize("encoding", [Palette(), ClassMask()])
def test_queries_of_another_encoding_are_refused(encoding):
    drawn = picture((0, 0, 0))
    with pytest.raises(BadOption, match="its own queries"):
        encoding.decode(drawn, drawn[0], [Query("the cup")])


def registry():
    filled = Registry()
    encodings_labels.addp_bench_register(filled)
    return filled


@pytest.mark.parametrize(
    "choice",
    ["palette:ignore_radius=-1", "palette:ignore_radius=nan", "palette:table=voc", "palette:distance=l1",
     "class_mask:threshold=255", "class_mask:radius=40", "class_mask:drawing=solid:threshold=10",
     "class_mask:drawing=solid:reads=red", "class_mask:prompt=segment", "class_mask:drawing=solid:color=crimson"],
)  # fmt: skip
def test_an_option_that_cannot_be_or_would_not_be_used_is_refused(choice):
    with pytest.raises(BadOption):
        registry().build("encoding", choice)


def test_prompts_are_of_words_that_the_built_in_model_knows():
    from addp_bench.baselines.tiny.vocabulary import LENGTH, WORDS
    from addp_bench.tasks.tabletop.solids import CLASSES

    for encoding in (Palette(), ClassMask()):
        for query in encoding.queries(ASKED, CLASSES):
            assert set(query.prompt.split()) <= set(WORDS)
            assert len(query.prompt.split()) <= LENGTH - 2

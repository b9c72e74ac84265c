"""Answers of one colour drawn and read back; hue, saturation and value against OpenCV 5.0."""

import itertools

import cv2
import numpy as np
import pytest
import torch

from addp_bench.errors import BadData, BadOption, UnknownName
from addp_bench.loading import load
from addp_bench.plugins.encodings import COLOURS
from addp_bench.plugins.encodings_answers import RANGES, ColourAnswer, areas, hsv
from addp_bench.types import Query, Sample, to_batch, to_uint8

FOUR = ("ball", "cube", "cone", "capsule")
ASKED = Sample("a", "a", np.zeros((2, 2, 3), np.uint8), None, "")
IMAGE = torch.zeros(3, 4, 5)


def read(encoding, *pictures, names=FOUR):
    """Scores of pictures (H, W, 3) uint8, one for each class."""
    found = encoding.decode(to_batch(np.stack(pictures)), IMAGE, encoding.queries(ASKED, names)[: len(pictures)])
    return found.scores.tolist()


def striped(*colours):
    """A picture (1, N, 3) of one pixel of each colour, by name or as r, g, b."""
    return np.array([[COLOURS.get(colour, colour) for colour in colours]], np.uint8)


def test_hue_saturation_and_value_are_opencvs_to_the_last_bit():
    rgb = np.random.default_rng(0).integers(0, 256, (400, 500, 3)).astype(np.uint8)
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    corners = np.array([list(itertools.product((0, 1, 46, 127, 128, 254, 255), repeat=3))], np.uint8)
    for pixels in (rgb, grey, corners):
        assert np.array_equal(hsv(pixels), cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))


def test_a_colour_has_the_pixels_that_opencvs_range_gives_it():
    rgb = np.random.default_rng(1).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    seen, converted = areas(rgb), cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    for name, several in RANGES.items():
        masks = [cv2.inRange(converted, *(np.array(end) for end in zip(*ranges))) for ranges in several]
        assert seen[name] == sum(int((mask > 0).sum()) for mask in masks) > 0, name


@pytest.mark.parametrize(
    "rgb, name",
    [
        ((255, 0, 0), "red"), ((255, 89, 0), "red"), ((255, 90, 0), "orange"), ((255, 0, 40), "red"),
        ((0, 128, 0), "green"), ((0, 255, 255), "cyan"), ((0, 0, 255), "blue"), ((47, 47, 47), "gray"),
        ((45, 0, 0), "black"), ((230, 230, 230), "white"), ((128, 0, 128), "purple"), ((255, 255, 0), "yellow"),
    ],
)  # fmt: skip
def test_colours_by_hand(rgb, name):  # hue of (255, 89, 0) is 30 x 89 / 255 = 10.47, of (255, 90, 0) 10.59, so 11
    assert [colour for colour, area in areas(np.array([[rgb]])).items() if area] == [name]


def test_every_hue_of_full_colours_belongs_to_one_name():
    names = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "red")
    ends = np.repeat(names, np.diff([0, 11, 26, 35, 78, 100, 125, 156, 180]))  # the first hue of each
    full = np.array([[(hue, 255, 255) for hue in range(180)]], np.uint8)
    for rgb, name in zip(cv2.cvtColor(full, cv2.COLOR_HSV2RGB)[0], ends):
        assert [colour for colour, area in areas(rgb[None, None]).items() if area] == [name]


@pytest.mark.parametrize(
    "rgb, names",
    [
        ((46, 46, 46), ["black", "gray"]), ((45, 45, 45), ["black"]), ((220, 220, 220), ["gray"]),
        ((221, 221, 221), ["white"]), ((255, 225, 225), ["white"]), ((255, 224, 224), []), ((255, 213, 213), []),
        ((255, 212, 212), ["red"]), ((46, 0, 0), ["black", "red"]), ((200, 166, 166), ["gray", "red"]),
    ],
)  # fmt: skip
def test_where_pale_and_dark_colours_end(rgb, names):  # saturation 30, 31, 42 and 43 of the pale ones
    assert [colour for colour, area in areas(np.array([[rgb]])).items() if area] == names


@pytest.mark.parametrize("reads", ["hsv", "nearest"])
def test_a_drawn_answer_reads_back_in_any_two_colours(reads):
    truth = torch.tensor([True, False, False, True])
    for yes, no in itertools.permutations(COLOURS, 2):
        encoding = ColourAnswer(yes, no, reads=reads)
        asked = encoding.queries(ASKED, FOUR)
        drawn = encoding.encode(IMAGE.expand(4, -1, -1, -1), truth.expand(4, -1), asked)
        assert drawn.rgb.shape == (4, 3, 4, 5)
        assert (drawn.valid, drawn.painted) == (None, None)
        pictures = to_uint8(drawn.rgb)
        assert [picture[3, 4].tolist() for picture in pictures] == [
            list(COLOURS[yes if there else no]) for there in truth
        ]
        found = encoding.decode(to_batch(pictures), IMAGE, asked)
        assert found.scores.tolist() == [1.0, 0.0, 0.0, 1.0]
        assert found.labels.tolist() == [0, 1, 2, 3]
        assert list(found.names) == list(FOUR)


def test_every_question_is_answered_from_its_own_photograph_and_class():
    truth = torch.tensor([[True, False, True, False], [False, True, True, False]])
    encoding = ColourAnswer()
    asked = encoding.queries(ASKED, FOUR)
    rows, several = truth[[0, 1, 1, 0]], [asked[2], asked[0], asked[1], asked[3]]
    blue = to_uint8(encoding.encode(IMAGE.expand(4, -1, -1, -1), rows, several).rgb)[:, 0, 0, 2] == 255
    assert blue.tolist() == [True, False, True, False]


def test_the_score_is_the_share_of_yes_among_both_and_a_third_colour_answers_nothing():
    encoding = ColourAnswer()
    assert read(encoding, striped("blue", "blue", "blue", "red")) == [0.75]
    assert read(encoding, striped("blue", "red", "red", "green")) == pytest.approx([1 / 3])
    assert read(encoding, striped("blue", "blue", "red", "green", "green", "green")) == [0.5], "green has most"
    assert read(encoding, striped("blue", "green")) == [1.0], "of equals an answer counts"
    assert read(encoding, striped("blue", "red")) == [0.5]
    assert read(encoding, striped((46, 44, 46), (33, 255, 160))) == [0.5]
    assert read(encoding, striped("red", "red"), striped("blue", "blue")) == [0.0, 1.0]


def test_the_nearer_of_two_colours_knows_no_third():
    nearest = ColourAnswer(reads="nearest")
    assert read(nearest, striped("green", "yellow", (0, 0, 200))) == [1 / 2], "green is as far from both"
    assert read(nearest, striped((140, 0, 120), (100, 0, 120))) == [0.5]
    assert read(nearest, striped((128, 0, 128), (127, 0, 128), (127, 0, 128))) == [1.0]


def test_the_sentence_is_instructcvs_and_names_both_colours_and_the_class():
    asked = ColourAnswer().queries(ASKED, FOUR)
    assert [q.prompt for q in asked][2] == "show blue if the picture contain cone, otherwise show red"
    assert [(q.label, q.name, q.colour) for q in asked][3] == (3, "capsule", (0, 0, 255))
    other = ColourAnswer("white", "black", prompt="% is there: *, it is not: #")
    assert other.queries(ASKED, FOUR)[0].prompt == "ball is there: white, it is not: black"


def test_words_choose_the_one_class_they_name():
    (asked,) = ColourAnswer().queries(Sample("a", "a", ASKED.image, None, "cone"), FOUR)
    assert (asked.label, asked.name) == (2, "cone")
    with pytest.raises(UnknownName, match=r"no class is called 'cones'. Did you mean 'cone'\?"):
        ColourAnswer().queries(Sample("a", "a", ASKED.image, None, "cones"), FOUR)


def test_two_random_colours_are_those_of_the_photograph_and_the_class_alone():
    encoding = ColourAnswer(pair="random")
    samples = [Sample(str(k), str(k), ASKED.image, None) for k in range(400)]
    pairs = [[(q.yes, q.no) for q in encoding.queries(sample, FOUR)] for sample in samples]
    assert pairs == [[(q.yes, q.no) for q in encoding.queries(sample, FOUR)] for sample in samples]
    (alone,) = encoding.queries(Sample("7", "7", ASKED.image, None, "cone"), FOUR)
    assert (alone.yes, alone.no) == pairs[7][2]
    assert any(len(set(several)) == 4 for several in pairs), "each class has its own"
    drawn = [pair for several in pairs for pair in several]
    assert all(yes != no for yes, no in drawn)
    assert len(set(drawn)) == 56
    counts = [sum(yes == name for yes, _ in drawn) for name in COLOURS]
    assert np.abs(np.array(counts) - 200).max() < 66  # five standard deviations
    truth = torch.tensor([[True, False, True, False]]).expand(4, -1)
    asked = encoding.queries(samples[3], FOUR)
    pictures = to_batch(to_uint8(encoding.encode(IMAGE.expand(4, -1, -1, -1), truth, asked).rgb))
    assert encoding.decode(pictures, IMAGE, asked).scores.tolist() == [1, 0, 1, 0]
    assert f"show {asked[1].yes} " in asked[1].prompt
    assert asked[1].prompt.endswith(f"show {asked[1].no}")


def test_the_noisy_answer_gives_itself_away_below_t_903():
    """Two latents +-d / 2 from their middle in white noise: taken for each other with probability Phi(-a d / 2s)."""
    model = load().registry.build("model", "tiny")
    asked = ColourAnswer().queries(ASKED, ("ball",))
    both = torch.tensor([[True], [False]])
    with torch.no_grad():
        yes, no = model.codec.encode(ColourAnswer().encode(torch.zeros(2, 3, 64, 64), both, asked * 2).rgb)
    apart = float((yes - no).norm())
    assert apart == pytest.approx(88.3, abs=0.1)
    t = torch.arange(1000)
    mistaken = torch.special.ndtr(-model.noise.a(t).double() * apart / (2 * model.noise.s(t).double()))
    assert int((mistaken > 0.01).nonzero()[0]) == 903


@pytest.mark.parametrize(
    "wrong, words",
    [
        ("yes=red", "two colours, got red for both"),
        ("no=pink", "no='pink' is none of red, purple"),
        ("prompt=is % there? *", r"without #"),
        ("reads=hue", "reads='hue' is none of hsv, nearest"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(BadOption, match=words):
        load().registry.build("encoding", f"colour_answer:{wrong}")


def test_what_it_cannot_draw_is_refused():
    encoding = ColourAnswer()
    with pytest.raises(BadData, match=r"sample a: .* its split names none"):
        encoding.queries(ASKED, ())
    with pytest.raises(BadData, match="about 3 classes, and class 3 is asked for"):
        encoding.encode(IMAGE.expand(4, -1, -1, -1), torch.ones(4, 3) > 0, encoding.queries(ASKED, FOUR))
    with pytest.raises(BadOption, match=r"ColourAnswer\.queries"):
        encoding.decode(IMAGE[None], IMAGE, [Query("blue?", label=1)])

"""Boxes drawn and read back: InstructCV's fixture, overlaps, and what each encoding cannot tell apart."""

from __future__ import annotations

import colorsys
import itertools

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from addp_bench.baselines.tiny.vocabulary import WORDS
from addp_bench.errors import BadData, BadOption
from addp_bench.plugins import encodings_boxes
from addp_bench.plugins.encodings_boxes import BoxFill, BoxOutline, BoxPalette, instructcv_blue, palette
from addp_bench.registry import Registry
from addp_bench.tasks.tabletop.solids import SHAPES
from addp_bench.types import Boxes, Sample, to_batch, to_uint8

SAMPLE = Sample("s/1", "s/1", np.zeros((4, 4, 3), np.uint8), None)
GREY = to_batch(np.full((1, 100, 100, 3), 120, np.uint8))


def boxes(*several, labels=None, size=(100, 100), padding=1):
    """One picture's boxes, with padding that holds nonsense."""
    n = len(several)
    xyxy = torch.tensor([[*several, *[(0.0, 0.0, 90.0, 90.0)] * padding]], dtype=torch.float32).view(1, -1, 4)
    names = torch.tensor([[*(labels or [0] * n), *[0] * padding]])
    valid = (torch.arange(n + padding) < n)[None]
    return Boxes(xyxy, names, valid, size)


def read(encoding, truth, classes=("cone", "ball"), image=GREY):
    """Boxes drawn, rounded to 8 bits and read: sorted (label, box), and the scores."""
    asked = encoding.queries(SAMPLE, classes)
    drawn = torch.cat([to_batch(to_uint8(encoding.encode(image, truth, [query]).rgb)) for query in asked])
    found = encoding.decode(drawn, image[0], asked)
    return sorted(zip(found.labels.tolist(), found.xyxy.tolist())), found.scores


EVERY = [BoxOutline(), BoxOutline("red", reads="rgb"), BoxFill(), BoxFill("blue", edge=0), BoxPalette()]
EVERY += [BoxPalette("black", edge=1)]


@pytest.mark.parametrize("encoding", EVERY)
def test_boxes_that_lie_apart_read_back_with_their_classes(encoding):
    truth = boxes((0, 0, 30, 20), (40, 50, 99, 100), (60, 5, 72, 31), labels=[0, 1, 0])
    found, scores = read(encoding, truth)
    assert found == [(0, [0, 0, 30, 20]), (0, [60, 5, 72, 31]), (1, [40, 50, 99, 100])]
    assert scores.tolist() == pytest.approx([1.0] * 3, abs=1e-6)


@pytest.mark.parametrize("encoding", EVERY)
def test_a_picture_without_a_box_is_the_picture_and_reads_as_none(encoding):
    drawn = encoding.encode(GREY, boxes(), encoding.queries(SAMPLE, ("cone",)))
    assert not drawn.painted.any()
    if getattr(encoding, "ground", "photo") == "photo":
        assert torch.equal(drawn.rgb, GREY)
    assert read(encoding, boxes())[0] == []


@pytest.mark.parametrize("encoding", EVERY)
def test_pictures_of_a_batch_are_drawn_as_alone_and_only_the_class_asked_for(encoding):
    both = Boxes(
        torch.tensor([[[5.0, 5, 30, 30], [2, 40, 80, 90]], [[10, 10, 60, 70], [0, 0, 1, 1]]]),
        torch.tensor([[0, 1], [1, 0]]),
        torch.tensor([[True, True], [True, False]]),
        (100, 100),
    )
    images = torch.cat([GREY, GREY * 0.5])
    asked = [*encoding.queries(SAMPLE, ("cone", "ball"))] * 2
    drawn = encoding.encode(images, both, [asked[0], asked[1]])
    for i in range(2):
        one = Boxes(both.xyxy[i : i + 1], both.labels[i : i + 1], both.valid[i : i + 1], both.size)
        assert torch.equal(drawn.rgb[i], encoding.encode(images[i : i + 1], one, [asked[i]]).rgb[0])
    cone = drawn.painted[0].nonzero()
    if len(encoding.queries(SAMPLE, ("cone", "ball"))) == 2:
        assert (cone.amin(0).tolist(), cone.amax(0).tolist()) == ([5, 5], [29, 29]), "the ball was not asked for"
    kept = ~drawn.painted[:, None].expand_as(images)
    if getattr(encoding, "ground", "photo") == "photo":
        assert torch.equal(drawn.rgb[kept], images[kept])


def test_instructcvs_rectangle_has_672_pixels_and_reads_as_41_by_51():
    """PIL's rectangle (20, 30)-(60, 80) includes its far edge; ours ends before it."""
    theirs = Image.new("RGB", (100, 100))
    ImageDraw.Draw(theirs).rectangle((20, 30, 60, 80), outline="blue", width=4)
    encoding = BoxOutline(width=25.6)  # 4 pixels at a side of 100
    black = torch.full((1, 3, 100, 100), -1.0)
    ours = encoding.encode(black, boxes((20, 30, 61, 81)), encoding.queries(SAMPLE, ("cone",)))
    assert np.array_equal(to_uint8(ours.rgb)[0], np.asarray(theirs))
    assert int(ours.painted.sum()) == 672
    assert read(encoding, boxes((20, 30, 61, 81)), image=black)[0] == [(0, [20, 30, 61, 81])]


@pytest.mark.parametrize("side, line", [(640, 4), (512, 3), (256, 2), (64, 2), (1280, 8)])
def test_a_line_is_4_pixels_at_640_and_2_at_least(side, line):
    image, encoding = torch.zeros(1, 3, 60, side), BoxOutline()
    truth = boxes((0, 0, side, 60), size=(60, side), padding=0)
    drawn = encoding.encode(image, truth, encoding.queries(SAMPLE, ("x",)))
    assert drawn.painted[0, 30].sum() == 2 * line
    assert drawn.painted[0, :, 30].sum() == 2 * line


@pytest.mark.parametrize("pair", [((10, 10, 50, 50), (40, 40, 90, 90)), ((10, 10, 90, 90), (30, 30, 70, 70))])
def test_outlines_that_cross_are_one_box_and_filled_boxes_with_edges_are_two(pair):
    """Overlapping and nested: the known limit of outlines, and of boxes that are filled without an edge."""
    two = [(0, [float(x) for x in box]) for box in pair]
    assert read(BoxFill(), boxes(*pair))[0] == two
    assert read(BoxPalette(), boxes(*pair))[0] == two
    assert read(BoxFill(edge=0), boxes(*pair))[0] == [(0, [10, 10, 90, 90])]
    crossing = pair[1][2] == 90
    expected = [(0, [10, 10, 90, 90])] if crossing else two
    assert read(BoxOutline(), boxes(*pair))[0] == expected


def test_a_box_of_which_a_smaller_one_hides_a_side_reads_shorter_and_one_cut_in_two_is_two():
    hidden = read(BoxFill(), boxes((10, 10, 60, 40), (40, 10, 80, 40)))[0]
    assert hidden == [(0, [10, 10, 42, 40]), (0, [40, 10, 80, 40])]
    assert len(read(BoxFill(), boxes((5, 40, 95, 60), (40, 30, 60, 70)))[0]) == 3


def test_boxes_smaller_than_a_pixel_or_beyond_the_picture_stay_in_it():
    thin = boxes((20.2, 20.2, 20.4, 60.0), (90.0, 90.0, 130.0, 120.0), padding=0)
    drawn = BoxFill(edge=0).encode(GREY, thin, BoxFill().queries(SAMPLE, ("x",))).painted[0]
    assert drawn.sum() == 40 + 100
    assert drawn[20:60, 20].all()
    assert drawn[90:, 90:].all()


def test_the_range_of_blue_is_opencvs():
    """Against colorsys, in OpenCV's units: hue / 2, the others of 255; colours on a rounding edge are left out."""
    levels = [0, 40, 51, 90, 125, 180, 220, 255]
    rgb = np.array(list(itertools.product(levels, repeat=3)), np.uint8)
    compared = 0
    for colour, ours in zip(rgb, instructcv_blue(rgb)):
        h, s, v = colorsys.rgb_to_hsv(*(colour / 255.0))
        hue, saturation, value = 180 * h, 255 * s, 255 * v
        if min(abs(hue - 99.5), abs(hue - 125.5), abs(saturation - 129.5)) < 0.01:
            continue
        compared += 1
        assert ours == (99.5 < hue < 125.5 and saturation > 129.5 and value >= 50), colour
    assert compared > 500
    assert instructcv_blue(np.array([[0, 0, 255], [0, 0, 49], [0, 0, 50], [255, 0, 0]])).tolist() == [1, 0, 1, 0]


def test_gaps_of_two_pixels_are_closed_and_small_specks_are_not_read():
    encoding = BoxOutline(least=2)
    (query,) = encoding.queries(SAMPLE, ("x",))
    drawn = encoding.encode(GREY, boxes((0, 0, 40, 40), (60, 60, 90, 90)), [query]).rgb
    drawn[:, :, 60:90, 70:72] = GREY[:, :, 60:90, 70:72]
    drawn[0, :, 50:53, 5:8] = torch.tensor([-1.0, -1.0, 1.0])[:, None, None]
    found = encoding.decode(drawn, GREY[0], [query])
    assert sorted(found.xyxy.tolist()) == [[0, 0, 40, 40], [60, 60, 90, 90]]
    ring = 30 * 30 - 26 * 26
    assert found.scores.min() == pytest.approx(1 - 8 / ring)


@pytest.mark.parametrize(
    "rule, expected", [("constant", 1.0), ("coverage", 0.52), ("colour_purity", 1 - 0.48 * 120 / 441.672956)]
)
def test_scores_say_how_well_a_box_was_drawn(rule, expected):
    encoding = BoxFill("255,255,255", edge=0, score=rule, radius=10, reach=10)
    drawn = np.zeros((1, 20, 20, 3), np.uint8)
    drawn[0, 5:15, 5:15] = 255
    drawn[0, 6:14, 6:12] = (135, 255, 255)  # 48 of 100 pixels, 120 away from white
    drawn = to_batch(drawn)
    found = encoding.decode(drawn, drawn[0], encoding.queries(SAMPLE, ("x",)))
    assert found.xyxy.tolist() == [[5, 5, 15, 15]]
    assert found.scores[0] == pytest.approx(expected, abs=1e-6)


def test_the_blur_between_a_box_and_its_edge_belongs_to_the_box_up_to_reach():
    encoding = BoxFill()
    (query,) = encoding.queries(SAMPLE, ("x",))
    drawn = encoding.encode(GREY, boxes((20, 20, 60, 60)), [query]).rgb
    drawn[:, :, 20:60, 22] = torch.tensor([1.0, -0.4, -0.4])[:, None]  # 76 twice: 107.48 from red
    drawn[:, :, 20:22, 22], drawn[:, :, 58:60, 22] = 1.0, 1.0
    drawn[:, :, 80:90, 80:90] = torch.tensor([1.0, -0.4, -0.4]).view(3, 1, 1)  # without red nothing is a box
    assert encoding.decode(drawn, GREY[0], [query]).xyxy.tolist() == [[20, 20, 60, 60]]
    for reach, left in ((50.0, 21), (107.4, 21), (107.5, 20)):
        assert BoxFill(reach=reach).decode(drawn, GREY[0], [query]).xyxy.tolist() == [[left, 20, 60, 60]]


def test_painters_grid_by_hand_and_few_classes_are_corners_of_the_cube():
    colours, edge = palette(150)
    assert [colours[i] for i in (0, 1, 6, 149)] == [(255, 255, 255), (255, 255, 213), (255, 213, 255), (87, 255, 45)]
    assert edge == (0, 0, 0)
    for classes in (1, 5, 6, 7, 8, 26, 27, 80):
        colours, edge = palette(classes)
        assert len({*colours, edge}) == classes + 1
        assert min(min(c) for c in colours) >= 0
    assert palette(5)[0][:2] == ((255, 0, 0), (0, 0, 255))


def test_eighty_classes_in_one_drawing_read_back():
    labels = [0, 7, 33, 79]
    truth = boxes((2, 2, 30, 30), (40, 2, 70, 30), (2, 50, 30, 90), (50, 50, 90, 90), labels=labels)
    found, _ = read(BoxPalette("black"), truth, [f"class {k}" for k in range(80)])
    assert [label for label, _ in found] == labels
    assert found[3][1] == [50, 50, 90, 90]


@pytest.mark.parametrize("encoding", EVERY)
def test_prompts_are_words_that_tiny_knows(encoding):
    asked = encoding.queries(SAMPLE, SHAPES)
    assert {word for query in asked for word in query.prompt.split()} <= set(WORDS)
    assert len({query.prompt for query in asked}) == len(asked)


@pytest.mark.parametrize("encoding", [BoxOutline(), BoxFill(), BoxPalette()])
def test_a_split_without_classes_is_refused(encoding):
    with pytest.raises(BadData, match="sample s/1: boxes are asked for by class"):
        encoding.queries(SAMPLE, ())


@pytest.mark.parametrize(
    "choice",
    [
        "box_outline:color=red",
        "box:least=0",
        "box:width=0",
        "box:overlap=1.5",
        "box_fill:edge=-1",
        "box_fill:reach=10",
        "box_fill:edge_color=230,0,0",
        "box_fill:smallest=0",
        "box_palette:radius=-1",
        "box_palette:ground=white",
    ],
)
def test_options_that_cannot_be_are_refused(choice):
    registry = Registry()
    encodings_boxes.addp_bench_register(registry)
    with pytest.raises(BadOption):
        registry.build("encoding", choice)

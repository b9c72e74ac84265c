"""What an encoding loses on its way through a codec."""

from __future__ import annotations

import json
from pathlib import Path

import bench
import numpy as np
import pytest
import torch

from addp_bench.ceiling import Identity, ceiling
from addp_bench.checks.ceilings import COLOURS, Ceiling, Judged, choices, protocol_of, tasks_of
from addp_bench.cli import main
from addp_bench.errors import BadData, BadOption, UnknownName
from addp_bench.loading import load
from addp_bench.metrics import MeanOf
from addp_bench.spec import Choice
from addp_bench.types import Objects, Sample

PATCHES = Path(__file__).with_name("patches.py")
REGISTRY = load([bench.DOTS, PATCHES]).registry


class Perfect:
    """A codec that loses nothing."""

    def encode(self, images, noise=None):
        return images

    def decode(self, latents):
        return latents


class Blind(Perfect):
    """A codec that loses everything."""

    def decode(self, latents):
        return torch.zeros_like(latents)


class Model:
    def __init__(self, codec, resolution=32):
        self.codec, self.resolution = codec, resolution


def oiou(model) -> float:
    registry = load([bench.DOTS]).registry
    task = registry.build("task", "ris")
    samples = registry.build("dataset", "dots").samples("stats", "ris")
    evaluator = task.evaluator(task.protocols()["tabletop_ris"])
    encoding = registry.build("encoding", "red_mask")
    scores = ceiling(samples, len(samples), task, encoding, model, evaluator, torch.device("cpu"), lambda *_: None)
    assert list(scores.statistics.ids) == list(samples.ids)
    return float(evaluator.metrics[0].value(scores.statistics.columns))


def test_a_codec_that_loses_nothing_has_a_ceiling_of_100():
    assert oiou(Model(Perfect())) == 1.0


def test_a_codec_that_loses_everything_has_a_ceiling_of_0():
    assert oiou(Model(Blind())) == 0.0


def test_drawing_at_half_the_size_costs_only_the_edges():
    assert 0.5 < oiou(Model(Perfect(), 16)) < 1.0


def test_the_ceiling_is_asked_for_from_the_command_line(sd15, capsys):
    arguments = ["check", "encoding", "red_mask", "--codec", f"instruct_pix2pix:path={sd15}", "--dataset", "dots"]
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--limit", "4", "--plugin", str(bench.DOTS), "--json"])
    assert left.value.code == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["samples"] == 4
    assert 0 <= answer["ceiling"]["oiou"] <= 1


def test_a_split_that_is_not_there_is_refused(sd15, capsys):
    arguments = ["check", "encoding", "red_mask", "--codec", f"instruct_pix2pix:path={sd15}", "--dataset", "dots"]
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--split", "vall", "--plugin", str(bench.DOTS)])
    assert left.value.code == 2
    assert "vall" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ no codec at all


class Few:
    """Samples that a test made, as a split."""

    def __init__(self, *samples, vocabulary=()):
        self.samples, self.vocabulary = samples, vocabulary
        self.ids = self.image_ids = [sample.id for sample in samples]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def values(encoding, task_name, protocol, samples, through=None, noise=0.0):
    task = REGISTRY.build("task", task_name)
    evaluator = task.evaluator(task.protocols()[protocol], samples.vocabulary)
    built, device = REGISTRY.build("encoding", encoding), torch.device("cpu")
    found = ceiling(
        samples, len(samples), task, built, through or Identity(), evaluator, device, lambda *_: None, noise
    )
    return {m.id: float(m.value(found.statistics.columns)) for m in evaluator.metrics}


def grey(height, width):
    return np.full((height, width, 3), 100, np.uint8)


def test_without_a_codec_photographs_keep_their_own_sizes():
    masks = [np.zeros(shape, bool) for shape in ((20, 30), (7, 5))]
    for mask in masks:
        mask[1:4, 2:4] = True  # 6 pixels, which another size would not leave
    samples = Few(*(Sample(str(i), str(i), grey(*mask.shape), mask) for i, mask in enumerate(masks)))
    for encoding in ("red_mask", "binary_mask", "transparent_mask:color=blue"):
        assert values(encoding, "ris", "tabletop_ris", samples)["oiou"] == 1.0


def test_without_a_codec_metres_lose_half_a_step_of_eight_bits():
    depth = np.full((8, 8), 3.337, np.float32)  # 85.09 of 255 for 10 m: drawn as 85, which is 3.33333 m
    samples = Few(Sample("a", "a", grey(8, 8), depth))
    found = values("depth_gray", "depth", "tabletop_depth_metric", samples)
    assert found["rmse"] == pytest.approx(3.337 - 85 * 10 / 255, abs=1e-6)
    assert found["absrel"] == pytest.approx((3.337 - 10 / 3) / 3.337, abs=1e-6)


def boxes(*xyxy):
    n = len(xyxy)
    area = np.array([(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in xyxy], np.float64)
    truth = Objects(np.array(xyxy, np.float32), np.zeros(n, np.int64), np.zeros(n, bool), area, (64, 64))
    return Few(Sample("a", "a", grey(64, 64), truth), vocabulary=("ball",))


def test_what_merges_when_it_is_drawn_is_a_loss_of_the_encoding_itself():
    apart, crossing = boxes((2, 2, 22, 22), (30, 30, 60, 60)), boxes((2, 2, 32, 32), (22, 22, 60, 60))
    for samples, outlined in ((apart, 1.0), (crossing, 0.0)):  # crossing lines are one component, and one box
        ap50 = {e: values(e, "detection", "tabletop_detection", samples)["ap50"] for e in ("box_fill", "box_outline")}
        assert ap50 == {"box_fill": pytest.approx(1.0), "box_outline": pytest.approx(outlined)}


def test_noise_in_the_latents_costs_and_is_the_same_each_time():
    rng = np.random.default_rng(0)
    samples = Few(*(Sample(str(i), str(i), grey(16, 16), rng.random((16, 16)) < 0.5) for i in range(4)))
    found = [values("red_mask", "ris", "tabletop_ris", samples, noise=noise)["oiou"] for noise in (0, 0.2, 0.5, 0.5)]
    assert found[0] == 1.0 > found[1] > found[2] == found[3]


def test_a_split_without_samples_has_no_ceiling():
    with pytest.raises(BadData, match="no samples"):
        values("red_mask", "ris", "tabletop_ris", Few())


# ------------------------------------------------------------------------------------------------ which are measured


def test_all_are_every_encoding_and_every_value_that_an_option_lists_but_none_that_must_learn_first():
    found = [str(choice) for choice in choices(REGISTRY, "all")]
    assert len(set(found)) == len(found)
    learning = {n for n in REGISTRY.names("encoding") if getattr(REGISTRY.build("encoding", n), "learns", 0)}
    assert learning == {"transparent_learned"}
    assert {text.split(":")[0] for text in found} == set(REGISTRY.names("encoding")) - learning
    solid = [f"solid_mask:color={colour}" for colour in COLOURS if colour != "red"]
    assert [text for text in found if text.startswith("solid_mask")] == ["solid_mask", *solid]
    assert {"binary_mask:reads=red", "palette:distance=square", "box_palette:ground=black"} < set(found)
    assert "box_fill:color=white" not in found, "its edges are white: refused, so left out"


def test_encodings_are_joined_by_plus_and_a_wrong_one_is_refused():
    found = choices(REGISTRY, "red+solid_mask:color=1,2,3+red_mask")
    assert [str(choice) for choice in found] == ["red_mask", "solid_mask:color=1,2,3"]
    with pytest.raises(UnknownName, match="redd"):
        choices(REGISTRY, "red_mask+redd")
    with pytest.raises(BadOption, match="crimson"):
        choices(REGISTRY, "solid_mask:color=crimson")


def test_the_task_is_the_one_whose_truth_is_drawn():
    tabletop = Choice("tabletop")
    drawn = {"red_mask": ["ris"], "palette": ["semantic"], "depth_log": ["depth"], "box_fill": ["detection"]}
    assert {name: tasks_of(REGISTRY, tabletop, Choice(name), None) for name in drawn} == drawn
    with pytest.raises(BadOption, match="draws depth, and dataset dots has no task about that"):
        tasks_of(REGISTRY, Choice("dots"), Choice("depth_log"), None)
    with pytest.raises(BadOption, match="draws depth, task ris is about mask"):
        tasks_of(REGISTRY, tabletop, Choice("depth_log"), "ris")
    with pytest.raises(BadOption, match="dots has no truth for task depth"):
        tasks_of(REGISTRY, Choice("dots"), Choice("depth_log"), "depth")


@pytest.mark.parametrize(
    "encoding, asked, expected",
    [
        ("depth_affine", None, "tabletop_depth"),
        ("depth_gray", None, "tabletop_depth"),
        ("depth_disparity", None, "tabletop_depth_disparity"),  # the dataset's own aligns depths
        ("depth_gray", "tabletop_depth_metric", "tabletop_depth_metric"),
        ("depth_affine", "nyuv2", "nyuv2"),
    ],
)
def test_the_protocol_is_the_datasets_own_unless_the_task_refuses_it(encoding, asked, expected):
    dataset = REGISTRY.build("dataset", "tabletop")
    assert protocol_of(REGISTRY, "depth", Choice("tabletop"), dataset, Choice(encoding), asked).name == expected


def test_a_protocol_that_cannot_judge_an_encoding_is_refused_with_the_tasks_reason():
    dataset = REGISTRY.build("dataset", "tabletop")
    with pytest.raises(
        BadOption, match=r"depth_affine under protocol tabletop_depth_metric: depth up to scale and shift"
    ):
        protocol_of(REGISTRY, "depth", Choice("tabletop"), dataset, Choice("depth_affine"), "tabletop_depth_metric")
    with pytest.raises(UnknownName, match="tabletop_depth_metrik"):
        protocol_of(REGISTRY, "depth", Choice("tabletop"), dataset, Choice("depth_gray"), "tabletop_depth_metrik")


@pytest.mark.parametrize(
    "unit, higher, value, kept",
    [
        ("points", True, 0.95, True),
        ("points", True, 0.949, False),
        ("points", False, 0.05, True),
        ("points", False, 0.051, False),
        ("points", True, float("nan"), False),
        ("m", False, 0.01, None),
    ],
)
def test_the_gate_is_95_points_or_an_error_of_5_and_says_nothing_of_metres(unit, higher, value, kept):
    metric = MeanOf(id="one", label="One", column="one", unit=unit, higher_is_better=higher)
    assert Ceiling(Judged(Choice("red_mask"), "ris", "x"), 1, [metric], {"one": value}).kept is kept


# ------------------------------------------------------------------------------------------------ the command


def said(shell, *arguments):
    code, out, err = shell("check", "encoding", *arguments, "--plugin", bench.DOTS, "--plugin", PATCHES)
    return code, out, err


def test_the_command_measures_all_and_says_of_what_it_cannot_why(shell):
    code, out, _ = said(shell, "all", "--codec", "identity", "--dataset", "patches", "--limit", "2", "--json")
    rows = json.loads(out)
    assert code == 0
    assert {row["encoding"].split(":")[0] for row in rows} == {"class_mask", "colour_answer", "palette"}
    assert {(row["task"], row["protocol"], row["headline"]) for row in rows} == {
        ("semantic", "tabletop_semantic", "miou"),
        ("classification", "tabletop_classification", "bacc"),
    }
    assert all(row["ceiling"][row["headline"]] == 1.0 and row["kept"] for row in rows)
    code, out, _ = said(shell, "red_mask+depth_log", "--codec", "identity", "--dataset", "dots", "--limit", "2")
    assert code == 0
    assert "not measured: encoding depth_log draws depth, and dataset dots has no task about that" in out
    code, out, _ = said(
        shell, "red", "--codec", "identity", "--dataset", "dots", "--limit", "2", "--format", "markdown"
    )
    assert out.splitlines()[4].split("|")[1:7] == [
        " red_mask   ", " ris    ", " tabletop_ris ", " oIoU ↑   ", " 100.0     ", " yes               "
    ]  # fmt: skip
    assert "mIoU 100.0" in out


def test_one_encoding_that_cannot_be_measured_is_an_error(shell):
    code, _, err = said(shell, "depth_log", "--codec", "identity", "--dataset", "dots")
    assert code == 2
    assert "draws depth" in err
    code, _, err = said(shell, "depth_log+palette", "--codec", "identity", "--dataset", "dots")
    assert code == 4
    code, _, err = said(shell, "red_mask", "--codec", "constant", "--dataset", "dots")
    assert code == 2
    assert "has no codec; `identity` keeps pictures" in err

"""A sheet shows the record it was given: its curve, its pictures, its failures."""

import warnings

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from results import record, statistics

from addp_bench.errors import BadData, StorageProblem
from addp_bench.pictures import charts, report
from addp_bench.pictures.charts import BLUE, ORANGE, SILVER
from addp_bench.pictures.drift import Shown
from addp_bench.pictures.report import pick, sheet

CONTRIBUTION = {
    "raw": [0.01] * 9 + [0.91],
    "group_probabilities": [0.02] * 9 + [0.82],
    "bootstrap_sd": [0.005] * 10,
    "flags": ["few_samples"],
}


@pytest.fixture
def full(tmp_path):
    iou = np.linspace(0.05, 0.95, 60)
    return record(
        tmp_path / "runs",
        iou,
        result_contribution=CONTRIBUTION,
        result_timestep_mass=[0.02] * 9 + [0.82],
        result_curve={"t": [900, 500, 0], "metrics": {"oiou": [0.2, None, 0.5], "miou": [0.1, 0.3, 0.4]}},
        result_read_at={"rule": "final", "index": 2, "t": 0},
        result_slices={"level": {"L0": {"samples": 60, "metrics": {"oiou": 0.5, "miou": None}}}},
    )


def picture(**changes):
    truth = np.zeros((32, 32), bool)
    truth[8:24, 8:24] = True
    plain = {"id": "a", "photo": np.full((32, 32, 3), 128, np.uint8), "truth": truth, "prediction": truth.copy()}
    return plain | {"text": "the red cube", "score": 0.5, "note": "L1", "group": "worst"} | changes


def pixels(file):
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def coloured(file, colour, tolerance=6):
    """How many pixels have a colour."""
    wanted = np.array(to_rgb(colour)) * 255
    return int((np.abs(pixels(file) - wanted).max(axis=2) <= tolerance).sum())


def words(monkeypatch, *args):
    """Every text of a sheet."""
    from matplotlib.text import Text

    drawn = []
    monkeypatch.setattr(Text, "draw", lambda self, renderer: drawn.append((self.get_text(), self.get_parse_math())))
    sheet(*args)
    return drawn


def test_the_drift_has_a_chart_of_its_own_and_charts_stand_three_in_a_line_at_most(full, tmp_path, monkeypatch):
    drift = Shown([900, 500, 0], clean=0.96, damaged=[0.6, 0.7, 0.9], samples=64)
    plain, more = (sheet(full, [], tmp_path / f"{name}.png", of) for name, of in (("plain", None), ("more", drift)))
    tall = [pixels(file).shape[0] / 200 for file in (plain, more)]
    assert tall[1] - tall[0] == pytest.approx(report.CHARTS, abs=0.05), "the fourth chart needs a second line"
    said = "\n".join(text for text, _ in words(monkeypatch, full, [], tmp_path / "words.png", drift))
    for expected in ("Drift", "the truth of 64 samples", "training, aug none", "sampling: its estimate"):
        assert expected in said
    lines = [report._line(list(range(n))) for n in (1, 2, 3, 4, 5, 7)]
    assert [len(first) for first, _ in lines] == [1, 2, 3, 2, 3, 3]
    assert lines[3] == ([0, 1], [2, 3])


def test_numbers_below_0_stay_inside_of_their_charts(full):
    for values, ends in (([-2.0, None, 0.5], (-2.24, 0.56)), ([0.1, 0.2, 0.5], (0.0, 0.56)), ([None, 0, 0], (0, 1))):
        full.result["curve"]["metrics"] = {"oiou": values, "miou": values}
        axes = Figure().add_subplot()
        charts._curve(axes, full)
        assert axes.get_ylim() == pytest.approx([100 * end if values[2] else end for end in ends])
        charts._drift(axes, full, Shown([900, 500, 0], clean=values[2], damaged=None, samples=3))
        assert axes.get_ylim() == pytest.approx([100 * end if values[2] else end for end in ends])


def test_a_sheet_shows_what_the_record_holds(full, tmp_path, monkeypatch):
    out = sheet(full, [], tmp_path / "deep" / "full.png")
    for colour in (BLUE, ORANGE, SILVER):
        assert coloured(out, colour) > 100
    said = "\n".join(text for text, _ in words(monkeypatch, full, [], tmp_path / "words.png"))
    for expected in (
        "oIoU 50.0 [",
        "few_samples",
        "Quality of the answer at each step",
        "oIoU by level",
        "50.0  (n = 60)",
        full.id,
    ):
        assert expected in said


def test_a_record_without_curves_makes_a_sheet_of_pictures(tmp_path, monkeypatch):
    bare = record(tmp_path / "runs", np.full(10, 0.5), trained=False, model="random")
    out = sheet(bare, [picture()], tmp_path / "bare.png")
    height, width, _ = pixels(out).shape
    assert height < width / 2
    said = [text for text, _ in words(monkeypatch, bare, [picture()], tmp_path / "words.png")]
    assert not [text for text in said if "share of training" in text or "at each step" in text]


def test_masks_are_painted_in_their_colours_at_any_size(full, tmp_path):
    """Truth covers a quarter of its picture: blue on grey 128, which steps back to 255 - 127 x .45 = 197."""
    ground = 255 - (255 - 128) * 0.45
    blue, orange = (tuple(np.array(to_rgb(c)) * 0.88 + int(ground) / 255 * 0.12) for c in (BLUE, ORANGE))
    side = 200 * report.SIDE  # pixels at 200 dpi
    for repeat in (1, 3):  # the masks' size differs from the photo's
        large = {k: np.kron(picture()[k], np.ones((repeat, repeat))).astype(bool) for k in ("truth", "prediction")}
        out = sheet(full, [picture(**large)], tmp_path / f"{repeat}.png")
        assert coloured(out, blue) == pytest.approx(side**2 / 4, rel=0.05)
        assert coloured(out, orange) == pytest.approx(side**2 / 4, rel=0.12)  # less the truth's outline


def test_a_failed_answer_is_shown_as_one(full, tmp_path, monkeypatch):
    pictures = [picture(prediction=None), picture(prediction=np.zeros((32, 32), bool))]
    said = [text for text, _ in words(monkeypatch, full, pictures, tmp_path / "a.png")]
    assert said.count("no answer") == 1
    assert said.count("nothing found") == 1
    assert "Worst" in said


def test_answers_that_score_nothing_are_counted_and_those_without_a_score_explained(tmp_path, monkeypatch):
    """Of 40 samples asked for 30 were scored, 12 of them 0."""
    made = record(tmp_path / "runs", np.r_[np.zeros(12), np.full(18, 0.5)], asked=40)
    nothing = np.zeros((32, 32), bool)
    pictures = [picture(), picture(truth=nothing, prediction=nothing, score=None, note="")]
    said = [text for text, _ in words(monkeypatch, made, pictures, tmp_path / "a.png")]
    assert "12 of 30 samples score 0.0;  10 of 40 could not be scored and are not shown" in said
    assert "nothing to find, and nothing found: right  ·  a" in said


def test_what_the_model_painted_stands_between_truth_and_answer(full, tmp_path, monkeypatch):
    green = np.zeros((1, 16, 16, 3), np.uint8)
    green[0, ..., 1] = 255
    out = sheet(full, [picture(drawing=green)], tmp_path / "drawn.png")
    assert coloured(out, "#00ff00") == pytest.approx((200 * report.SIDE) ** 2, rel=0.05)
    said = [text for text, _ in words(monkeypatch, full, [picture(drawing=green)], tmp_path / "a.png")]
    named = [text for text in said if text in ("photo", "truth", "drawn by the model", "answer")]
    assert named == ["photo", "truth", "drawn by the model", "answer"]


def test_several_drawings_are_laid_out_row_by_row():
    five = np.stack([np.full((2, 3, 3), k, np.uint8) for k in range(5)])
    whole = report.tiled(five)
    assert whole.shape == (4, 9, 3)
    assert whole[::2, ::3, 0].tolist() == [[0, 1, 2], [3, 4, 255]]
    assert np.array_equal(report.tiled(five[:1]), five[0])


def test_what_a_task_pictures_itself_is_shown_as_it_is_and_may_stand_for_anything(full, tmp_path):
    cyan, magenta = (np.full((20, 20, 3), colour, np.uint8) for colour in ((0, 255, 255), (255, 0, 255)))
    boxes = {"truth": object(), "prediction": object(), "shown": {"truth": cyan, "prediction": magenta}}
    out = sheet(full, [picture(**boxes)], tmp_path / "shown.png")
    for colour in ("#00ffff", "#ff00ff"):
        assert coloured(out, colour) == pytest.approx((200 * report.SIDE) ** 2, rel=0.05)


# ------------------------------------------------------------------------------------------------ nothing collides

LONG = "the large striped purple cube that is left of the checkered green box which is behind the rightmost sphere " * 2


def boxes(monkeypatch, *args):
    """The place of every text of a sheet, (text, (x0, y0, x1, y1)) in pixels, and the size of the page."""
    from matplotlib.text import Text

    placed, size = {}, []
    draw = Text.draw

    def note(self, renderer):
        draw(self, renderer)
        if self.get_text().strip() and self.get_visible():
            placed[id(self)] = (self.get_text(), self.get_window_extent(renderer).extents)
            size[:] = [renderer.width, renderer.height]

    monkeypatch.setattr(Text, "draw", note)
    sheet(*args)
    return list(placed.values()), size


@pytest.mark.parametrize("text", ["cube", LONG, "x" * 300], ids=["short", "long", "unbroken"])
@pytest.mark.parametrize("count", [1, 4])
def test_no_text_runs_into_another_or_off_the_page(tmp_path, monkeypatch, text, count):
    name = "a_very_long_name_of_a_plugin_that_somebody_wrote"
    made = record(
        tmp_path / "runs",
        np.linspace(0, 0.95, 60),
        model=name,
        weights=name,
        aug=name,
        result_contribution=CONTRIBUTION,
        result_timestep_mass=[0.02] * 9 + [0.82],
        result_curve={"t": [900, 500, 0], "metrics": {"oiou": [0.2, None, 0.5], "miou": [0.1, 0.3, 0.4]}},
        result_read_at={"rule": "final", "index": 2, "t": 0},
        result_slices={
            "level": {f"{name} {k}": {"samples": 9, "metrics": {"oiou": k / 12, "miou": k / 13}} for k in range(12)}
        },
    )
    pictures = [
        picture(id=f"{group}/{k}", text=text, group=group, drawing=np.zeros((1, 8, 8, 3), np.uint8))
        for group in ("random", "best", "worst")
        for k in range(count)
    ]
    placed, (width, height) = boxes(monkeypatch, made, pictures, tmp_path / "a.png")
    assert len(placed) > 60
    for text, (x0, y0, x1, y1) in placed:
        assert min(x0, y0) >= 0, text
        assert x1 <= width, text
        assert y1 <= height, text
    slack = 2  # pixels of 200 to the inch: boxes of neighbouring lines may touch
    for k, (one, a) in enumerate(placed):
        for other, b in placed[k + 1 :]:
            apart = a[2] <= b[0] + slack or b[2] <= a[0] + slack or a[3] <= b[1] + slack or b[3] <= a[1] + slack
            assert apart, f"{one!r} runs into {other!r}"


def test_numbers_such_as_depth_are_drawn_on_one_scale(full, tmp_path):
    near, far = np.full((8, 8), 1.0), np.full((8, 8), 9.0)
    out = sheet(full, [picture(truth=near, prediction=far)], tmp_path / "depth.png")
    side = 200 * report.SIDE
    for colour in ("#00224e", "#fee838"):  # both ends of cividis
        assert coloured(out, colour) == pytest.approx(side**2, rel=0.05)


def test_text_from_data_is_neither_formula_nor_control(full, tmp_path, monkeypatch):
    said = words(monkeypatch, full, [picture(text="cube $x_{$ \x1b[2J\u202e", note="a\x07b")], tmp_path / "a.png")
    assert ("“cube $x_{$ [2J”", False) in said
    assert all(c.isprintable() or c == "\n" for text, _ in said for c in text)


def test_text_in_a_script_without_glyphs_does_not_warn(full, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sheet(full, [picture(text="最大的立方体")], tmp_path / "a.png")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"photo": np.zeros((8, 8), np.uint8)}, "photo is uint8"),
        ({"photo": np.zeros((8, 8, 3))}, "photo is float64"),
        ({"truth": np.zeros((8, 8, 1), bool)}, "truth has shape"),
    ],
)
def test_pictures_of_another_shape_are_refused_by_name(full, tmp_path, change, says):
    with pytest.raises(BadData, match=f"picture a: {says}"):
        sheet(full, [picture(**change)], tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_sheet_that_cannot_be_written_says_so(full, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", refuse)
    with pytest.raises(StorageProblem, match="Permission denied"):
        sheet(full, [], tmp_path / "a.png")


# ------------------------------------------------------------------------------------------------- which samples


def test_best_and_worst_are_picked_by_the_score_of_the_single_sample(full):
    picked = pick(full, each=4)
    iou = dict(zip(full.statistics.ids.tolist(), full.statistics.columns["iou"]))
    assert [p["group"] for p in picked] == sorted([p["group"] for p in picked], key=["random", "best", "worst"].index)
    assert {p["id"] for p in picked if p["group"] == "worst"} == set(sorted(iou, key=iou.get)[:4])
    assert {p["id"] for p in picked if p["group"] == "best"} == set(sorted(iou, key=iou.get)[-4:])
    assert all(p["score"] == pytest.approx(iou[p["id"]]) for p in picked)
    assert len({p["id"] for p in picked}) == len(picked) <= 12
    assert pick(full, each=4) == picked


@pytest.mark.parametrize(
    ("samples", "groups"), [(7, "random random best best worst worst"), (2, "best worst"), (1, "worst")]
)
def test_few_samples_are_shared_by_the_groups_and_failures_come_first(tmp_path, samples, groups):
    picked = pick(record(tmp_path, np.linspace(0.1, 0.9, samples)), each=3)
    assert " ".join(p["group"] for p in picked) == groups
    assert len({p["id"] for p in picked}) == len(picked)


def test_equal_failures_are_picked_from_everywhere(tmp_path):
    cells = [record(tmp_path, np.r_[np.zeros(500), np.ones(5)], seed=seed) for seed in range(4)]
    found = [int(p["id"][1:]) for cell in cells for p in pick(cell, each=5) if p["group"] == "worst"]
    assert max(found) > 300
    assert len(set(found)) > 12


def test_a_sample_without_a_score_is_never_best_or_worst(tmp_path):
    made = record(tmp_path, np.full(6, 0.5))
    nothing = statistics(np.full(6, 0.5), union=np.array([0, 10, 10, 10, 10, 10]))
    made.__dict__["statistics"] = nothing  # as if the union of the first were empty
    picked = {p["id"]: p for p in pick(made, each=6)}
    assert picked["e00000"]["group"] == "random"
    assert picked["e00000"]["score"] is None


def test_picking_needs_a_score_for_a_single_sample(tmp_path):
    entry = {"label": "AP", "value": 0.5, "unit": "points", "higher_is_better": True, "version": 1, "reason": None}
    with pytest.raises(BadData, match="ap has no value for a single sample"):
        pick(record(tmp_path, np.full(6, 0.5), result_metrics={"ap": entry}))

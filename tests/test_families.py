"""Pictures of whole kinds, drawn by `show KIND NAME --plot`: what is in them, whose numbers, what is refused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from results import record

from addp_bench.contribution import estimate
from addp_bench.errors import BadOption
from addp_bench.loading import load
from addp_bench.pictures import damage, families
from addp_bench.plugins.noise import ScaledLinear
from addp_bench.plugins.targets import Epsilon
from addp_bench.spec import Choice

STRANGER = """
import numpy as np
import torch
from addp_bench.hookspecs import hookimpl

class Halves:
    "Draws from the noisy half in three steps of four, from the clean half in the fourth."
    needs_contribution = False

    def bind(self, noise, target, contribution):
        return self

    def draw(self, u, step):
        t = (u * 500).long() + (0 if step % 4 == 3 else 500)
        return t, torch.ones(len(u))

    def state_dict(self):
        return {}


class Joins(Halves):
    "The same, and joins gradients."
    backward = None

class Sign:
    "A sampler that draws itself."
    def plot(self, path):
        path.write_bytes(b"its own")

@hookimpl
def addp_bench_register(registry):
    registry.add("weights", "halves", Halves)
    registry.add("weights", "joins", Joins)
    registry.add("sampler", "sign", Sign)
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    file = tmp_path_factory.mktemp("plugins") / "stranger.py"
    file.write_text(STRANGER)
    return file


@pytest.fixture(scope="module")
def registry(stranger):
    return load([stranger]).registry


@pytest.fixture
def given(registry, tmp_path):
    return families.Setting(registry, ScaledLinear(), Epsilon(), "words", tmp_path)


def heights(panel) -> list[float]:
    axes = Figure().subplots()
    panel.draw(axes)
    return [bar.get_height() for bar in axes.patches]


def statistics(share: float) -> dict:
    """Of a source whose noisiest group explains more or less."""
    rng = np.random.default_rng(0)
    quality = rng.random((60, 10))
    quality[:, -1] = share * quality[:, 0] + (1 - share) * quality[:, -1]
    return estimate(quality, [999 - 100 * k for k in range(10)], bootstrap=0).to_json()


def measured(runs, finished, share, **more):
    """A record that holds statistics."""
    made = record(runs, np.full(4, 0.5), weights="perception_stats", seed=more.pop("seed", 0),
                  result_contribution=statistics(share), **more)  # fmt: skip
    file = made.folder / "record.json"
    body = json.loads(file.read_text())
    file.write_text(json.dumps({**body, "provenance": {"finished": finished}}))
    return made.id


# ---------------------------------------------------------------------------------------------- weights


def test_bars_are_the_worked_group_masses_cleanest_at_place_0(given):
    expected = [0.000262, 0.001043, 0.002418, 0.004864, 0.009407, 0.018430, 0.038008, 0.085331, 0.215043, 0.625194]
    found = heights(families._mass_panel(Choice("diffusion"), given, []))
    assert found == pytest.approx(100 * np.array(expected), abs=1e-4)


def test_a_loss_weight_counts_as_the_training_it_gives(given):
    """Diffusion's weight on epsilon's error, drawn uniformly: the same share as when it is drawn."""
    drawn, weighed = (
        heights(families._mass_panel(Choice("diffusion", {"scaling": scaling}), given, []))
        for scaling in ("prob", "loss")
    )
    assert drawn == pytest.approx(weighed)


def test_a_strategy_that_is_no_fixed_vector_is_drawn_as_it_draws(given):
    panel = families._mass_panel(Choice("halves"), given, [])
    assert heights(panel) == pytest.approx([5.0] * 5 + [15.0] * 5)
    assert panel.words == "as drawn in its first 200 steps"
    assert "joins gradients" in families._mass_panel(Choice("joins"), given, []).words


def test_statistics_are_those_of_the_newest_record_that_fits(given, tmp_path):
    old = measured(tmp_path, "2026-01-01", 0.2)
    new = measured(tmp_path, "2026-03-01", 0.9, seed=1)
    record(tmp_path, np.full(4, 0.5), weights="uniform")
    records = families._with_statistics(tmp_path)
    assert [r.id for r in records] == [new, old]
    panel = families._mass_panel(Choice("perception_stats"), given, records)
    assert panel.words == f"statistics of cell {new}, ris"
    assert heights(panel) == pytest.approx(100 * np.array(statistics(0.9)["group_probabilities"]))
    with pytest.raises(BadOption, match=r"do not fit: .*groups=10"):
        families._mass_panel(Choice("perception_stats", {"groups": 5}), given, records)


def test_without_statistics_a_strategy_is_named_and_not_drawn(shell, stranger, tmp_path):
    file = tmp_path / "weights.png"
    asked = ["show", "weights", "all", "--plot", file, "--runs", tmp_path, "--plugin", stranger]
    code, out, err = shell(*asked, "--noise", "scaled_linear", "--json")
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert {"halves", "uniform"} <= set(answer["names"])
    assert [note.partition(":")[0] for note in answer["notes"]] == ["perception_stats", "shuffled_stats"]
    assert all("needs a measurement, and no record under" in note for note in answer["notes"])
    with Image.open(file) as picture:
        without = picture.size
    measured(tmp_path, "2026-01-01", 0.5)
    assert json.loads(shell(*asked, "--noise", "scaled_linear", "--json")[1])["notes"] == []
    with Image.open(file) as picture:
        assert picture.size != without, "more panels and no notes"


def test_what_the_schedule_refuses_is_told_with_its_reason(shell, tmp_path):
    file = tmp_path / "weights.png"
    ends = ("--noise", "scaled_linear:zero_snr=true", "--runs", tmp_path)
    code, out, _ = shell("show", "weights", "all", "--plot", file, *ends)
    assert code == 0
    assert "not drawn: diffusion: the schedule ends in pure noise" in out
    code, out, err = shell("show", "weights", "diffusion", "--plot", tmp_path / "one.png", *ends)
    assert (code, out) == (2, "")
    assert "the schedule ends in pure noise" in err
    assert not (tmp_path / "one.png").exists()


def test_the_schedule_and_the_target_are_those_that_are_asked_for(registry, sd15, tmp_path):
    path = f"instruct_pix2pix:path={sd15}"
    own = families.setting(registry, path, None, None, tmp_path)
    assert own.words == "the schedule of instruct_pix2pix, target epsilon"
    assert own.noise.alphas_cumprod == pytest.approx(ScaledLinear().alphas_cumprod)
    asked = families.setting(registry, None, "cosine", "v", tmp_path)
    assert asked.words == "schedule cosine, target v"
    assert (type(asked.noise).__name__, type(asked.target).__name__) == ("Cosine", "V")


# ---------------------------------------------------------------------------------------------- aug, corruption


def test_strengths_are_drawn_against_every_timestep(given, tmp_path, monkeypatch):
    kept = SimpleNamespace()
    monkeypatch.setattr(families, "_small_multiples", lambda panels, *words: vars(kept).update(panels=panels))
    families._augs([Choice("none"), Choice("linear", {"intensity": 2.0})], given, tmp_path / "aug.png")
    axes = Figure().subplots()
    kept.panels[1].draw(axes)
    *others, own = axes.lines
    t, strength = own.get_data()
    assert (list(t[[0, 999]]), list(strength[[0, 500, 999]])) == ([0, 999], pytest.approx([0, 1.0, 1.998]))
    assert [line.get_ydata().max() for line in others] == [0, pytest.approx(1.998)]
    assert axes.get_ylim()[1] > 1.998, "strengths above 1 are not cut off"


def test_every_schedule_of_the_registry_has_its_panel(shell, tmp_path):
    code, out, _ = shell("show", "aug", "all", "--plot", tmp_path / "aug.png")
    assert (code, "not drawn" in out) == (0, False)
    assert (tmp_path / "aug.png").read_bytes().startswith(b"\x89PNG")


def test_a_row_begins_with_the_clean_drawing_and_ends_with_damage(registry):
    dataset, task = registry.build("dataset", "tabletop"), registry.build("task", "ris")
    samples, encoding = dataset.samples("train", "ris"), registry.build("encoding", "red_mask")
    sample = next(samples[i] for i in range(20) if samples[i].truth.mean() > 0.05)
    both = [registry.build("corruption", name) for name in ("location", "shape")]
    strength = torch.tensor([0.0, 0.5, 1.0])
    made = damage._pictures(damage.Row("", both, "ris"), sample, samples, task, encoding, strength)
    red = np.where(sample.truth[..., None], np.array([255, 0, 0], np.uint8), sample.image)
    assert np.array_equal(made[0], red)
    assert not np.array_equal(made[1], made[0])
    painted = (made[2] != sample.image).any(axis=2)
    assert (made[2][painted] == (255, 0, 0)).all(), "what is not the drawing is the photograph"


def test_corruptions_without_an_example_are_named_and_the_others_drawn(shell, registry, tmp_path):
    file = tmp_path / "corruption.png"
    code, out, _ = shell("show", "corruption", "all", "--plot", file, "--json")
    assert code == 0
    answer = json.loads(out)
    tasks = {registry.get("task", name).factory.truth for name in registry.names("task")} | {"any"}
    missing = [name for name in answer["names"] if registry.get("corruption", name).factory.truth not in tasks]
    assert [note.partition(":")[0] for note in answer["notes"]] == missing
    with Image.open(file) as picture:
        all_of_them = picture.height
    assert shell("show", "corruption", "location:rotation=45", "--plot", file)[0] == 0
    with Image.open(file) as picture:
        assert picture.height < all_of_them / 2, "one row"


# ---------------------------------------------------------------------------------------------- the command


def test_a_plugin_that_draws_itself_does(shell, stranger, tmp_path):
    file = tmp_path / "new" / "sign.png"
    code, out, _ = shell("show", "sampler", "sign", "--plot", file, "--plugin", stranger)
    assert (code, file.read_bytes()) == (0, b"its own")
    assert out.endswith(f"drawn into {file}\n")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (
            ["sampler", "all", "--plot", "F"],
            "sampler all: there is no picture of the whole kind; kinds that have one: we",
        ),
        (["sampler", "ddim", "--plot", "F"], "sampler ddim cannot be drawn"),
        (["weights", "unifrom", "--plot", "F"], "Did you mean 'uniform'?"),
        (["wieghts", "all", "--plot", "F"], "Did you mean 'weights'?"),
        (["weights", "all"], "all is for --plot FILE.png"),
        (["weights", "uniform", "--noise", "cosine"], "--model, --noise and --target is for --plot FILE.png"),
        (["weights", "all", "--plot", "F", "--noise", "cosin"], "Did you mean 'cosine'?"),
        (["weights", "all", "--plot", "F", "--noise", "cosine", "--model", "tiny"], "both name a schedule"),
        (["aug", "all", "--plot", "F", "--model", "constant"], "it is not sampled, so it has no schedule"),
        (["aug", "all", "--plot", "F", "--target", "v"], "--target v changes nothing in a picture of aug all"),
        (
            ["dataset", "tabletop", "--plot", "F", "--noise", "cosine"],
            "changes nothing in a picture of dataset tabletop",
        ),
        (["aug", "linear:intensity=-1", "--plot", "F"], "intensity"),
        (["aug", "all", "--plot", "F.jpg"], "give a name that ends in .png"),
        (["aug", "all", "--plot", "blocked/F"], "File exists: "),
        (["weights", "perception_stats", "--plot", "F"], "needs a measurement, and no record under"),
    ],
)
def test_what_cannot_be_drawn_is_one_clear_line(shell, tmp_path, arguments, said):
    (tmp_path / "blocked").write_text("a file")
    places = {"F": "f.png", "F.jpg": "f.jpg", "blocked/F": "blocked/f.png"}
    asked = [tmp_path / places[a] if a in places else a for a in arguments]
    code, out, err = shell("show", *asked, "--runs", tmp_path)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1 or err.startswith("Usage")

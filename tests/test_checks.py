"""Every plugin that comes along keeps its contract, and the command tells of those that do not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import bench
import pytest

from addp_bench import checks
from addp_bench.errors import BadOption, BadPlugin, BenchError
from addp_bench.loading import load
from addp_bench.registry import REQUIRED
from addp_bench.spec import KINDS, Choice

ROOT = Path(__file__).parents[1]
REGISTRY = load([bench.DOTS]).registry

OPTIONED = """
task depth:files=metric · task ris:no_target=0 · dataset tabletop:shuffled=words
encoding binary_mask:reads=red · encoding solid_mask:color=blue:radius=80 · encoding red_mask:change=30
encoding palette:table=ade20k:distance=square · encoding palette:ignore_radius=40 · encoding class_mask:drawing=solid
encoding colour_answer:pair=random · encoding colour_answer:reads=nearest · encoding box_palette:ground=black
encoding box_outline:reads=rgb · encoding depth_gray:reads=mean · encoding transparent_mask:color=blue:alpha=0.7
weights uniform:scaling=loss · weights diffusion:grouped=true · weights min_snr:form=v · weights p2:scaling=loss
weights ant:method=pcgrad:scaling=loss · weights ant:method=none:clusters=snr · weights edm:weighted=false
weights perception_stats:r2=cross_validated:folds=3 · weights perception_stats:mode=paper_literal:groups=20
weights shuffled_stats:seed=3:floor_rule=exact · weights soft_truncation:form=cdf · weights soft_truncation:scaling=loss
weights speed:version=1 · weights speed:weight=none:dual=false · weights speed:weight=draws · weights speed:scaling=loss
aug constant:intensity=2 · aug linear:intensity=0 · aug tada:delta=0.2
corruption color:order=random · corruption blur:draw=maximum · corruption location:about=mask:scaled=false
corruption shape:of=mask:scaled=false · transform flip:share=0.9 · transform crop:smallest=0.5
exposure rollout:steps=2:share=0.5 · exposure epsilon_scaling:k=0.001:b=1.01
noise scaled_linear:zero_snr=true · noise cosine:shift=3 · noise flow:shift=3 · objective masked_mse:over=sample
model constant:value=everything:label=1 · sampler ddim:eta=1 · sampler ddim:spacing=leading
sampler ddpm:variance=large · sampler dpm_solver:order=3 · sampler euler_ancestral:spacing=trailing
guidance image_text:image=1
"""


def optioned():
    for line in OPTIONED.replace("·", "\n").split("\n"):
        if line.strip():
            kind, text = line.split()
            yield kind, Choice.parse(text)


@pytest.mark.parametrize("kind, choice", [*checks.cases(REGISTRY), *optioned()], ids=str)
def test_it_keeps_its_contract(kind, choice):
    if kind == "tracker":
        pytest.importorskip(choice.name)  # each is named by the package that it needs
    checks.require(REGISTRY, kind, choice)


def test_a_model_folder_keeps_its_contract(sd15):
    checks.require(REGISTRY, "model", Choice("instruct_pix2pix", {"path": str(sd15)}))


def test_cases_are_all_that_needs_no_option_by_distribution_or_file():
    ours = checks.cases(REGISTRY, "addp-bench")
    assert {kind for kind, _ in ours} == set(KINDS) - {"agent"}
    assert ("weights", Choice("uniform")) in ours
    assert checks.cases(REGISTRY, bench.DOTS) == [("dataset", Choice("dots"))]
    assert len(checks.cases(REGISTRY)) == len(ours) + 1
    left_out = {(e.kind, e.name) for e in REGISTRY.entries()} - {(k, c.name) for k, c in checks.cases(REGISTRY)}
    assert ("dataset", "coco") in left_out
    for kind, name in left_out:
        assert REQUIRED in [option.default for option in REGISTRY.get(kind, name).options]
    with pytest.raises(BadOption, match="nobody has registered no plugin"):
        checks.cases(REGISTRY, "nobody")


IDEA = '''
from addp_bench.hookspecs import hookimpl
from addp_bench.plugins.guidance import NoGuidance
from addp_bench.plugins.schedules import Linear


class Doubled(NoGuidance):
    """Twice as much."""

    def coefficients(self):
        return {("full", "full"): 2.0}


class Rough(Linear):
    """Linear, and rough.

    folder: where | how.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()


class Steep(Linear):
    """Linear.

    intensity: as there.
    """


@hookimpl
def addp_bench_register(registry):
    registry.add("guidance", "doubled", Doubled)
    registry.add("aug", "rough", Rough)
    registry.add("aug", "steep", Steep)
'''


@pytest.fixture
def idea(tmp_path):
    file = tmp_path / "idea.py"
    file.write_text(IDEA)
    return file


def test_require_names_every_promise_that_is_broken(idea):
    registry = load([idea]).registry
    with pytest.raises(BadPlugin, match=r"guidance doubled: guidance\.sum \(coefficients sum to 1\): they sum to 2"):
        checks.require(registry, "guidance", Choice("doubled"))


def test_the_command_says_what_is_kept_and_what_is_not(shell, idea):
    code, out, err = shell("check", "plugin", "guidance=doubled", "--plugin", idea)
    assert (code, err) == (3, "")
    assert "BROKEN  guidance.sum            coefficients sum to 1: they sum to 2" in out
    assert out.splitlines()[-1].startswith("10 kept, 1 broken")
    code, out, _ = shell("check", "plugin", "image_text:text=7.5")
    assert (code, out.count("ok  "), "ms a call" in out) == (0, 11, True)


def test_a_file_is_checked_whole_and_what_needs_an_option_is_told_how(shell, idea):
    code, out, _ = shell("check", "plugin", idea)
    assert code == 3
    assert "not checked: aug rough needs folder=... (str): where | how. Check it as aug=rough:folder=..." in out
    assert "3 plugins: 1 keep their contract, 1 breaks its (guidance=doubled), 1 not checked" in out
    code, _, err = shell("check", "plugin", "aug=rough", "--plugin", idea)
    assert code == 2
    assert err.strip().endswith("Check it as aug=rough:folder=...")


def test_a_distribution_is_checked_whole(monkeypatch, shell):
    few = [entry for entry in REGISTRY.entries() if entry.kind in ("guidance", "dataset")]
    monkeypatch.setattr("addp_bench.checks.registered_by", lambda registry, origin: few)
    code, out, _ = shell("check", "plugin", "addp-bench", "--plugin", bench.DOTS, "--json")
    found = json.loads(out)["plugins"]
    assert code == 0
    assert {one["name"] for one in found} == {entry.name for entry in few}
    assert "needs path" in next(one["unchecked"] for one in found if one["name"] == "coco")


def test_the_report_can_be_markdown_and_json(shell, idea):
    code, out, _ = shell("check", "plugin", idea, "--format", "markdown")
    assert code == 3
    assert "| BROKEN | guidance.sum | coefficients sum to 1 | they sum to 2 |" in out
    tables = [line for line in out.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in tables} == {5}
    code, out, _ = shell("check", "plugin", "guidance=doubled", "--plugin", idea, "--json")
    (one,) = json.loads(out)["plugins"]
    assert (code, one["kind"], one["name"], one["options"]) == (3, "guidance", "doubled", {})
    assert [f["clause"] for f in one["findings"] if f["ok"] is False] == ["guidance.sum"]
    assert 0 < one["seconds"] < 1


@pytest.mark.parametrize("what, told", [
    ("none", "none is the name of several plugins; say one of aug=none, exposure=none, guidance=none"),
    ("imagetext", "no plugin or distribution is called 'imagetext'. Did you mean 'image_text'?"),
    ("guidance=nonsense", "no guidance is called 'nonsense'"),
    ("no_such_file.py", "there is no plugin file no_such_file.py"),
    ("guidance=image_text:text=much", "option text='much' is not a float"),
])  # fmt: skip
def test_what_cannot_be_checked_is_one_clear_error(shell, what, told):
    code, out, err = shell("check", "plugin", what)
    assert (code, out) == (2, "")
    assert told in err


def test_a_file_that_does_not_load_is_told_with_its_reason(shell, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("import no_such_package\n")
    code, _, err = shell("check", "plugin", file)
    assert code == 2
    assert "was set aside: importing it failed: ModuleNotFoundError" in err


def page():
    return (ROOT / "docs" / "contracts.md").read_text()


def test_the_page_lists_every_clause_with_its_promise():
    rows = re.findall(r"^\| `(\w+)\.(\w+)` \| (.*) \|$", page(), re.MULTILINE)
    every = {name: promise for kind, name, promise in rows if kind == "KIND"}
    told = {f"{kind}.{name}": promise for kind in KINDS for name, promise in every.items()}
    told |= {f"{kind}.{name}": promise for kind, name, promise in rows if kind != "KIND"}
    assert len(every) == 6
    assert told == dict(checks.CLAUSES)
    assert page().count("\nNot checked: ") == len(KINDS)


def test_the_page_s_test_of_a_plugin_passes(tmp_path):
    """As a reader would have it: the example of docs/plugins.md beside it, in a folder of their own."""
    blocks = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
    example = next(b for b in blocks.findall((ROOT / "docs" / "plugins.md").read_text()) if "registry.add" in b)
    (tmp_path / "band.py").write_text(example)
    (test,) = blocks.findall(page())
    written = test.replace("load()", 'load(["band.py"])').replace('"acme-bench"', '"band.py"')
    (tmp_path / "test_band.py").write_text(written)
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_band.py"],
                         cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    assert "2 passed" in ran.stdout, ran.stdout


def test_a_missing_package_is_the_callers_and_not_a_broken_promise(monkeypatch):
    import importlib

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(BenchError, match="the package wandb is not installed"):
        list(checks.check(REGISTRY, "tracker", Choice("wandb")))

"""Every plugin that comes along keeps its contract, and the page of contracts says what that is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import bench
import data_miniature
import pytest
from docs_world import REFCOCO, World

from addp_bench import checks
from addp_bench.errors import BadOption, BenchError
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


def case(kind, choice):
    """A world to be drawn, and a network that is built several times."""
    return pytest.param(kind, choice, marks=[pytest.mark.slow] if choice.name in ("tabletop", "tiny") else [])


@pytest.mark.parametrize("kind, choice", [case(*one) for one in (*checks.cases(REGISTRY), *optioned())], ids=str)
def test_it_keeps_its_contract(kind, choice):
    if kind == "tracker":
        pytest.importorskip(choice.name)  # each is named by the package that it needs
    checks.require(REGISTRY, kind, choice)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("name", [*data_miniature.DEPTH, "ade20k", "coco", "cifar10", "tiny_imagenet", *REFCOCO])
def test_a_dataset_that_people_have_keeps_its_contract_in_miniature(tmp_path_factory, name):
    place = World(tmp_path_factory.mktemp("miniatures")).dataset(name)
    checks.require(REGISTRY, "dataset", Choice(name, {"path": str(place)}))


def test_the_readme_counts_kinds_and_clauses():
    said = (ROOT / "README.md").read_text()
    assert f"{len(checks.CLAUSES)} clauses in all" in said
    assert f"any of the {len(KINDS)} kinds of plugin" in said


@pytest.mark.slow
def test_the_page_s_test_of_a_plugin_passes(tmp_path):
    """As a reader would have it: the example of docs/plugins.md beside it, in a folder of their own."""
    blocks = re.compile(r"^```py(?:thon)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
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

"""What a record says of the plugins it rests on, and what `why` says when the code of one was changed."""

from __future__ import annotations

import hashlib
import json
import sys

import bench
import pytest
from menagerie import OTHER, Way, lay

from addp_bench.facts import used
from addp_bench.loading import load

BAND = '''
import numpy as np
from addp_bench.hookspecs import hookimpl
from addp_bench.timesteps import VectorDraws

class Band:
    """Late timesteps alone."""
    needs_contribution = False
    def bind(self, noise, target, contribution):
        p = (np.arange(noise.steps) >= 800).astype(float)
        return VectorDraws("band", p / p.sum(), "probability", "prob", noise, target)

@hookimpl
def addp_bench_register(registry):
    registry.add("weights", "band", Band)
'''


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.startswith("zoo_")]:
        del sys.modules[name]


def sha256(file) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_record_names_distribution_version_and_source_of_all_it_rests_on(site, sd15, tmp_path):
    lay(site, Way("band", BAND, "", ""))
    lay(site, Way("listener", OTHER, "", ""))
    asked = bench.request(
        sd15, {"weights": ["band"], "aug": ["linear"]}, corruption=("color",), transform=("photometric",)
    )
    loaded, (plan,) = bench.plans(asked, tmp_path / "runs", load([bench.DOTS]))
    found = used(plan, loaded.registry, loaded.hooks)
    band = found["weights:band"]
    assert band["origin"] == "zoo-band 1.0"
    assert (band["distribution"], band["version"], band["module"]) == ("zoo-band", "1.0", "zoo_band")
    assert (band["file"], band["sha256"]) == (None, sha256(site / "zoo_band.py"))
    assert plan.stages()[-1].spec  # what keys hold is what records hold
    digests = {k: v for stage in plan.stages() for k, v in stage.spec.get("plugins", {}).items()}
    assert {name: found[name]["digest"] for name in digests} == digests
    dots = found["dataset:dots"]
    assert (dots["distribution"], dots["version"], dots["module"]) == (None, None, None)
    assert (dots["file"], dots["sha256"]) == (str(bench.DOTS), sha256(bench.DOTS))
    assert {"corruption:color", "transform:photometric", "aug:linear", "model:instruct_pix2pix", "sampler:ddim"} <= {
        *found
    }
    assert found["hooks:zoo_listener"]["sha256"] == sha256(site / "zoo_listener.py")
    assert [name for name in found if name.startswith("hooks:")] == ["hooks:zoo_listener"]


@pytest.mark.slow
def test_why_names_a_plugin_whose_file_was_edited_between_two_runs(sd15, tmp_path, shell):
    file = tmp_path / "band.py"
    small = [f"--{k.replace('_', '-')}={v}" for k, v in bench.SMALL.items() if k != "sampling_steps"]
    request = [
        *("--plugin", file, "--plugin", bench.DOTS, "--task", "ris", "--dataset", "dots", "--weights", "band"),
        *("--model", f"instruct_pix2pix:path={sd15}", *small, "--steps", "2", "--runs", tmp_path / "runs"),
    ]

    def ran(made_by: str = "") -> str:
        code, out, err = shell("run", *request, "--json")
        assert code == 0, err
        (record,) = json.loads(out)["records"]
        assert record["provenance"]["plugins"]["weights:band"] == str(file)
        assert record["provenance"]["sources"]["weights:band"]["sha256"] == (made_by or sha256(file))
        return record["id"]

    file.write_text(BAND)
    first, made_by = ran(), sha256(file)
    file.write_text(BAND.replace('"""Late timesteps alone."""', '"""Better words."""'))
    forget()
    assert ran(made_by) == first  # words change no key, and the record says what it was made by
    file.write_text(BAND.replace(">= 800", ">= 700"))
    forget()
    _, out, _ = shell("why", *request)  # before it is run
    said = f"plugin weights band of {file} changed since {first} (finished 20"
    assert said in out
    second = ran()
    assert second != first
    for cell in (first, second):  # whichever is asked, the older one is named
        _, out, _ = shell("why", cell, "--runs", tmp_path / "runs")
        assert out.count("changed since") == 1
        assert said in out
    _, out, _ = shell("why", second, "--runs", tmp_path / "runs", "--json")
    ((changed,),) = (one["plugins"] for one in json.loads(out))
    assert changed["plugin"] == "weights:band"
    assert changed["here"]["origin"] == changed["there"]["origin"] == str(file)


def forget() -> None:
    """As another process would begin: digests of files are read once in each."""
    from addp_bench import keys

    keys.source_digest.cache_clear()
    keys.plugin_digest.cache_clear()


def test_two_versions_of_a_distribution_are_told_apart_in_words():
    from addp_bench.cli.explaining import _changed

    told = {
        "plugin": "weights:band",
        "here": {"origin": "acme 0.3", "finished": None},
        "there": {"origin": "acme 0.2", "finished": "2026-01-02T03:04:05+00:00"},
    }
    said = _changed(told, {"cell": "new", "nearest": "old"})
    assert said == "plugin weights band of acme 0.3 changed since old (acme 0.2, finished 2026-01-02T03:04:05+00:00)"
    swapped = {**told, "here": told["there"], "there": told["here"]}
    assert _changed(swapped, {"cell": "old", "nearest": "new"}) == said

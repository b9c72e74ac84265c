"""What a person may get wrong on the command line: one clear line each, the right exit code, nothing half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import bench
import numpy as np
import pytest
import refcoco_miniature

from addp_bench.contribution import estimate


@pytest.fixture
def run(shell, tmp_path):
    """`addp-bench run` in this process, with small numbers: (exit code, stderr, the runs folder)."""

    def call(*arguments: str, runs: Path = tmp_path / "runs") -> tuple[int, str, Path]:
        small = [f"--{k.replace('_', '-')}={v}" for k, v in bench.SMALL.items() if k != "sampling_steps"]
        code, out, err = shell("run", "--task", "ris", *small, "--steps", "10", "--runs", runs, *arguments)
        assert not out or code in (0, 3)
        return code, err, runs

    return call


def on_dots(model: Path) -> list[str]:
    return ["--plugin", str(bench.DOTS), "--dataset", "dots", "--model", f"instruct_pix2pix:path={model}"]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--weights", "perception_stat"], "Did you mean 'perception_stats'?"),
        (["--weights", "diffusion:snrmin=1"], "Did you mean 'snr_min'?"),
        (["--aug", "linear:intensity=strong"], "intensity='strong' is not a float"),
        (["--aug", "linear:intensity=-1"], "intensity"),
        (["--split", "vall"], "Did you mean 'val'?"),
        (["--protocol", "refcocoo"], "Did you mean 'refcoco'?"),
        (["--budget", "enormous"], "budget"),
        (["--read-at", "noon"], "expected final, best_on_stats or t=NNN"),
        (["--seeds", "4..1"], "run backwards"),
        (["--sampler", "ddim:eta"], "cannot read 'ddim:eta'"),
        (["--executor", "cloud"], "no executor is called 'cloud'"),
        (["--device", "abacus"], "--device abacus"),
        (["--device", "meta"], "--device meta: torch cannot compute there"),
        (["--device", "meta"], "Here are: cpu"),
        (["--steps", "2000"], "steps must lie between 1 and 1000, got 2000"),
        (["--read-at", "t=512"], "in 10 steps keeps no answer there; the nearest timesteps it keeps: 499, 599"),
        (["--weights", "perception_stats:groups=30"], "groups=30: 20 sampling steps visit no timestep of group"),
        (["--weights", "perception_stats:groups=30:steps=40"], "need at least 32 samples, and 12 would be measured"),
        (["--weights", "shuffled_stats:groups=13", "--stats-samples", "99"], "need at least 15 samples, and 14 would"),
        (["--train-step", "3"], "Did you mean"),
        (["--weights", "perception_stats:from=nothing.json"], "nothing.json: no such file"),
        (["--weights", "perception_stats:from=0123"], "no cell is called '0123'"),
    ],
)
def test_a_request_that_cannot_be_meant_ends_with_2_before_anything_is_written(run, sd15, flags, words):
    code, err, runs = run(*on_dots(sd15), *flags)
    assert code == 2, err
    assert words in " ".join(err.split())
    assert "Traceback" not in err
    assert not runs.exists()


def test_every_cell_that_cannot_be_run_to_its_end_is_told_at_once(run, sd15):
    code, err, runs = run(
        *on_dots(sd15), "--weights", "perception_stats:groups=30", "--weights", "uniform:scaling=loss"
    )
    assert (code, err.count("groups=30")) == (2, 1)
    grid = [part for groups in (20, 30) for part in ("--weights", f"perception_stats:groups={groups}")]
    code, err, _ = run(*on_dots(sd15), *grid)
    assert code == 2
    assert "the request has 2 mistakes" in err
    assert not runs.exists()


def test_a_plan_refuses_what_a_run_would(shell, sd15, tmp_path):
    for flags in (["--read-at", "t=512"], ["--device", "meta"], ["--weights", "perception_stats:groups=30"]):
        code, out, err = shell("plan", "--runs", tmp_path / "runs", *on_dots(sd15), *flags)
        assert (code, out, err.count("\n")) == (2, "", 1), err


def test_a_hook_that_raises_fails_its_cell_with_3(run, sd15, tmp_path):
    hook = tmp_path / "hook.py"
    hook.write_text(
        "from addp_bench.hookspecs import hookimpl\n"
        "@hookimpl\n"
        "def addp_bench_run_started(cell):\n"
        "    if cell.name('weights') == 'uniform': raise RuntimeError('the tracker is gone')\n"
    )
    grid = ["--weights", "uniform", "--weights", "last_group"]
    code, err, runs = run(*on_dots(sd15), "--plugin", str(hook), *grid)
    assert code == 3, err
    assert err.count("failed: ") == 1
    assert "RuntimeError: the tracker is gone" in err
    assert len(list(runs.glob("records/*/record.json"))) == 1


def test_a_hook_that_raises_over_the_planned_cells_ends_with_2(run, sd15, tmp_path):
    hook = tmp_path / "hook.py"
    hook.write_text(
        "from addp_bench.hookspecs import hookimpl\n"
        "@hookimpl\n"
        "def addp_bench_cells(cells):\n"
        "    raise KeyError('no such list')\n"
    )
    code, err, runs = run(*on_dots(sd15), "--plugin", str(hook))
    assert code == 2, err
    assert "hook addp_bench_cells raised KeyError: 'no such list'" in " ".join(err.split())
    assert "Traceback" not in err
    assert not runs.exists()


def test_statistics_in_a_file_are_read_before_anything_is_trained(run, sd15, tmp_path):
    quality = np.random.default_rng(0).random((40, 20)).cumsum(1)
    measured = estimate(quality, list(range(975, 0, -50)), bootstrap=0).to_json()
    file = tmp_path / "statistics.json"
    for content, words in (
        (json.dumps(measured), "made with groups=10, asked is groups=5"),
        (json.dumps({**measured, "schema": 9}), "schema"),
        ("{", "cannot read contribution statistics"),
    ):
        file.write_text(content)
        code, err, runs = run(*on_dots(sd15), "--weights", f"perception_stats:groups=5:from={file}")
        assert code == 2, err
        assert words in " ".join(err.split())
        assert "Traceback" not in err
        assert not runs.exists()


def test_an_impossible_grid_says_why_and_ends_with_2(run, sd15):
    code, err, runs = run(*on_dots(sd15), "--aug", "linear", "--target", "epsilon")
    assert code == 2
    assert "draw the corrupted answer" in err
    assert not runs.exists()


def test_a_schedule_that_ends_in_noise_is_impossible_for_some_and_the_rest_goes_on(run, sd15):
    silent = ("--noise", "scaled_linear:zero_snr=true")
    code, err, runs = run(*on_dots(sd15), *silent, "--target", "epsilon")
    assert code == 2
    assert "Take --target x0, v or flow" in err
    assert not runs.exists()
    grid = ("--target", "x0", "--weights", "uniform", "--weights", "diffusion")
    code, err, runs = run(*on_dots(sd15), *silent, *grid)
    assert code == 0, err
    assert "diffusion:snr_min=0.0047" in err
    assert len(list(runs.glob("records/*/record.json"))) == 1


def test_an_empty_split_fails_its_cell(run, sd15):
    code, err, runs = run(*on_dots(sd15), "--split", "empty")
    assert code == 3
    assert "holds no samples" in err
    assert not list(runs.glob("records/*"))


@pytest.mark.parametrize("missing", ["unet/config.json", "vae/diffusion_pytorch_model.safetensors", "tokenizer"])
def test_a_model_folder_with_something_missing_is_named(run, sd15, tmp_path, missing):
    broken = shutil.copytree(sd15, tmp_path / "broken")
    target = broken / missing
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    code, err, _ = run(*on_dots(broken))
    assert code == 2
    assert missing.split("/")[0] in err


def test_a_runs_folder_that_cannot_be_written_is_named(run, sd15):
    code, err, _ = run(*on_dots(sd15), runs=Path("/sys/addp-bench-runs"))
    assert code == 2
    assert "cannot write below /sys/addp-bench-runs" in err
    assert "--runs" in err


def test_a_full_disk_keeps_what_was_finished(run, sd15, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can make a small disk")
    try:
        code, err, runs = run(*on_dots(sd15), runs=disk / "runs")
        assert code == 2
        assert "no space left" in err
        assert "run the same command again" in err
        assert not list(runs.glob("records/*"))
        assert not list(runs.glob("stages/train/*"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="module")
def refcoco(tmp_path_factory) -> Path:
    return refcoco_miniature.build(tmp_path_factory.mktemp("refer"))


def on_refcoco(root: Path, model: Path) -> list[str]:
    return ["--dataset", f"refcoco:path={root}", "--model", f"instruct_pix2pix:path={model}"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_main_job_runs_on_refcoco_and_a_stable_diffusion_folder(run, refcoco, sd15):
    job = ("--weights", "perception_stats", "--aug", "linear")
    code, err, runs = run(*on_refcoco(refcoco, sd15), *job, "--limit", "4")
    assert code == 0, err
    (file,) = runs.glob("records/*/record.json")
    result = json.loads(file.read_text())["result"]
    assert result["contribution"]["used"] == 12  # of the photograph that `stats` holds, and no other has been measured
    assert len(list(runs.glob("stages/train/*"))) == 2  # the source and the cell
    assert result["training"]["split"] == "train_fit"


def truncate(root: Path) -> None:
    file = root / "refcoco" / "refs(unc).p"
    file.write_bytes(file.read_bytes()[:-40])


def make_hostile(root: Path) -> None:
    (root / "refcoco" / "refs(unc).p").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")


def spoil_images(root: Path) -> None:
    for image in root.rglob("COCO_train2014_*.jpg"):
        image.write_bytes(b"not a photograph")


def shrink_images(root: Path) -> None:
    from PIL import Image

    for image in root.rglob("COCO_train2014_*.jpg"):
        Image.new("RGB", (20, 10)).save(image)


@pytest.mark.parametrize(
    "spoil, words",
    [
        (truncate, "refs(unc).p"),
        (make_hostile, "system"),
        (spoil_images, "COCO_train2014"),
        (shrink_images, "COCO_train2014"),
    ],
)
def test_files_that_are_not_what_they_should_be_are_named(run, refcoco, sd15, tmp_path, spoil, words):
    root = shutil.copytree(refcoco, tmp_path / "refer")
    spoil(root)
    code, err, runs = run(*on_refcoco(root, sd15))
    assert code in (2, 3)
    assert words in err
    assert "Traceback" not in err
    assert not list(runs.glob("records/*"))
    assert not Path("pwned").exists()


@pytest.mark.parametrize(
    "sampler, steps, words",
    [
        ("ddim:spacing=leading", 1, "1 step begins at t = 1, where the network expects 100% of the variance"),
        ("ddpm:spacing=leading", 10, "10 steps begin at t = 901"),
        ("euler_ancestral", 1, "1 step begins at t = 0"),
    ],
)
def test_few_steps_that_begin_far_from_noise_are_warned_of_once_with_the_remedy(
    sampler, steps, words, shell, sd15, tmp_path
):
    asked = (
        "--task",
        "ris",
        *on_dots(sd15),
        "--sampler",
        sampler,
        "--steps",
        steps,
        "--runs",
        tmp_path,
        "--seeds",
        "0..1",
    )
    code, out, err = shell("plan", *asked, "--json")
    assert (code, err.count("warning: ")) == (0, 1)
    assert words in err
    assert f"Say --sampler {sampler.split(':')[0]}:spacing=trailing" in err
    assert len(json.loads(out)["cells"]) == 2


def test_a_run_says_the_warning_too_and_enough_steps_or_trailing_ones_say_nothing(run, shell, sd15, tmp_path):
    code, err, _ = run(*on_dots(sd15), "--sampler", "ddim:spacing=leading")
    assert code == 0, err
    assert err.count("warning: sampler ddim: with spacing=leading, 10 steps begin at t = 901") == 1
    for sampler, steps in (("ddim:spacing=leading", 11), ("ddim", 1), ("euler_ancestral", 2), ("dpm_solver", 1)):
        asked = ("--task", "ris", *on_dots(sd15), "--sampler", sampler, "--steps", steps, "--runs", tmp_path)
        code, _, err = shell("plan", *asked)
        assert (code, "warning" in err) == (0, False)

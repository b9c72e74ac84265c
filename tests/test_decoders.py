"""Decoders that learn: fitted once on training drawings, kept beside the denoiser, read with from then on."""

from __future__ import annotations

from pathlib import Path

import bench
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from addp_bench import ceiling, decoders
from addp_bench.cache import photos
from addp_bench.errors import BadData, BadOption
from addp_bench.loading import load
from addp_bench.records import Record
from addp_bench.reopen import Reopened
from addp_bench.spec import Choice
from addp_bench.types import to_batch, to_uint8

REGISTRY = load([bench.DOTS]).registry
SHORT = "transparent_learned:samples=8:steps=2:width=4"


class Blur(ceiling.Identity):
    """A codec that averages three by three pixels, so that a closed form is wrong at every edge."""

    @property
    def codec(self):
        return self

    def decode(self, latents):
        return torch.nn.functional.avg_pool2d(latents, 3, 1, 1, count_include_pad=False).clamp(-1.0, 1.0)


def drawings(encoding, codec=None, limit=24):
    samples, task = REGISTRY.build("dataset", "dots").samples("train", "ris"), REGISTRY.build("task", "ris")
    return decoders.Drawings.of(samples, limit, task, encoding, codec or ceiling.Identity(), 32, torch.device("cpu"))


def fitted(folder: Path, text: str, seed: int = 0, codec=None):
    """An encoding with the decoder that it learnt, and the file that holds it."""
    choice = Choice.parse(text)
    decoders.fit(drawings(REGISTRY.build("encoding", choice), codec), seed, folder, lambda done, total: None)
    return REGISTRY.build("encoding", decoders.read_by(choice, folder)), folder / decoders.WEIGHTS


def overlap_on_stats(encoding, codec, noise=0.0) -> float:
    task = REGISTRY.build("task", "ris")
    samples = REGISTRY.build("dataset", "dots").samples("stats", "ris")
    evaluator = task.evaluator(task.protocols()["tabletop_ris"])
    device = torch.device("cpu")
    scores = ceiling.ceiling(samples, len(samples), task, encoding, codec, evaluator, device, lambda *_: None, noise)
    return float(evaluator.metrics[0].value(scores.statistics.columns))


# ------------------------------------------------------------------------------------------------ what is learnt


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("decoder"), "transparent_learned:steps=120:noise=0.3", codec=Blur())


def test_it_reads_drawings_of_photographs_it_has_not_seen(learnt):
    assert overlap_on_stats(learnt[0], Blur()) > 0.97


def test_it_reads_noisy_drawings_better_than_the_closed_form(learnt):
    closed = overlap_on_stats(REGISTRY.build("encoding", "transparent_mask"), Blur(), noise=0.6)
    assert overlap_on_stats(learnt[0], Blur(), noise=0.6) > closed + 0.1


def test_where_nothing_is_drawn_nothing_is_read(learnt):
    sample = REGISTRY.build("dataset", "dots").samples("val", "ris")[0]
    photo = photos([sample], 32)
    assert not learnt[0].decode(photo, photo[0], []).any()


def test_another_size_is_read_at_the_size_it_learnt_at(learnt):
    encoding, file = learnt
    assert int(load_file(file)["side"]) == 32
    sample = REGISTRY.build("dataset", "dots").samples("val", "ris")[0]
    photo, mask = photos([sample], 32), torch.from_numpy(sample.truth)
    drawn = encoding.encode(photo, mask[None], []).rgb
    whole = [to_batch(np.kron(to_uint8(p)[0], np.ones((3, 2, 1), np.uint8))[None]) for p in (drawn, photo)]
    read = encoding.decode(whole[0], whole[1][0], [])
    assert read.shape == (96, 64)
    true = torch.from_numpy(np.kron(sample.truth, np.ones((3, 2), bool)))
    assert (read & true).sum() / (read | true).sum() > 0.8


def test_the_same_seed_makes_the_same_weights_and_another_others(tmp_path):
    files = []
    for place, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / place).mkdir()
        files.append(fitted(tmp_path / place, SHORT, seed)[1])
        torch.rand(3)  # what others draw has no part in it
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


def test_it_learns_on_the_first_training_samples_alone():
    material = drawings(REGISTRY.build("encoding", SHORT))
    assert [name.split("/")[1] for name in material.names(range(len(material)))] == ["train"] * 8
    assert len(drawings(REGISTRY.build("encoding", SHORT), limit=5)) == 5
    raw = material.raw([2, 0])
    samples = REGISTRY.build("dataset", "dots").samples("train", "ris")
    assert np.array_equal(raw.truth, np.stack([samples[2].truth, samples[0].truth]))


def test_half_of_what_it_learns_on_is_disturbed_and_never_the_photograph():
    encoding = REGISTRY.build("encoding", "transparent_learned:noise=0.5:empty=0")
    material = drawings(encoding)
    drawn, seen, masks = encoding._material(material, 0, lambda done: None)
    raw = material.raw(range(24))
    clean = torch.from_numpy(to_uint8(encoding.encode(raw.photos, raw.truth, raw.queries).rgb)).permute(0, 3, 1, 2)
    assert torch.equal(seen, torch.from_numpy(to_uint8(raw.photos)).permute(0, 3, 1, 2))
    assert torch.equal(masks, raw.truth)
    same = (drawn == clean).flatten(1).all(1)
    assert 6 <= int(same.sum()) <= 18


def test_of_some_drawings_the_mask_is_taken_away_before_they_are_drawn():
    material = drawings(REGISTRY.build("encoding", "transparent_learned:noise=0:empty=0.4"))
    drawn, seen, masks = material.encoding._material(material, 0, lambda done: None)
    empty = ~masks.flatten(1).any(1)
    assert 4 <= int(empty.sum()) <= 15
    assert torch.equal(drawn[empty], seen[empty])
    assert torch.equal(masks[~empty], material.raw(range(24)).truth[~empty])


# ------------------------------------------------------------------------------------------------ mistakes


def test_nothing_is_read_before_it_has_learnt():
    encoding, picture = REGISTRY.build("encoding", SHORT), torch.zeros(1, 3, 32, 32)
    assert encoding.learns == 8
    with pytest.raises(BadOption, match="reads nothing before it has learnt"):
        encoding.decode(picture, picture[0], [])


@pytest.mark.parametrize(
    "options",
    ["samples=0", "steps=0", "width=6", "width=0", "noise=-1", "strength=1", "empty=1", "alpha=1", "color=crimson"],
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(BadOption):
        REGISTRY.build("encoding", f"transparent_learned:{options}")


def test_a_file_that_is_no_such_decoder_is_named(tmp_path, learnt):
    (tmp_path / "note").write_text("no weights")
    save_file({"side": torch.tensor(32)}, tmp_path / "empty")
    for name in ("note", "empty", "none"):
        with pytest.raises(BadData, match=f"{name} holds no decoder"):
            REGISTRY.build("encoding", f"transparent_learned:path={tmp_path / name}")
    with pytest.raises(BadData, match="width=4"):
        REGISTRY.build("encoding", f"transparent_learned:path={learnt[1]}:width=4")
    assert REGISTRY.build("encoding", f"transparent_learned:path={learnt[1]}").learns == 0


# ------------------------------------------------------------------------------------------------ in a run


AXES = {"encoding": [SHORT], "weights": ["uniform", "perception_stats"]}


@pytest.fixture(scope="module")
def ran(sd15, tmp_path_factory):
    return bench.run(bench.request(sd15, AXES), tmp_path_factory.mktemp("runs"))


def test_a_run_fits_it_once_and_keeps_it_beside_the_denoiser(ran):
    at, plans, done = ran
    assert not done.failures
    stages = {stage.key: stage for plan in plans for stage in plan.stages()}
    (decoder,) = [stage for stage in stages.values() if stage.kind == "decoder"]
    assert at.folder(decoder).parents[1] == at.folder(plans[0].score.inputs[0].input("train")).parents[1]
    assert {file.name for file in at.folder(decoder).iterdir()} >= {decoders.WEIGHTS, "spec.json"}
    assert decoder.spec["data"]["split"] == "train"
    for plan in plans:
        chosen = done.records[plan.id].result["choices"]["encoding"]
        assert (chosen["name"], chosen["options"]["path"]) == ("transparent_learned", None)


def test_answers_and_statistics_are_read_with_it(ran):
    at, plans, done = ran
    reading = [stage for plan in plans for stage in plan.stages() if stage.kind in ("score", "contribution")]
    assert {stage.kind for stage in reading} == {"score", "contribution"}
    for stage in reading:
        assert Path(stage.context["cell"]["encoding"].options["path"]).is_file()
    record = done.records[plans[0].id]
    ids = [str(i) for i in record.statistics.ids]
    columns = record.statistics.columns
    for picture, union, intersection in zip(
        Reopened(record, at).pictures(ids), columns["union"], columns["intersection"]
    ):
        assert (picture["truth"] | picture["prediction"]).sum() == union
        assert (picture["truth"] & picture["prediction"]).sum() == intersection
    photo = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    assert Reopened(record, at).answer(photo, "the green square")[1].shape == (40, 56)


def test_a_finished_run_is_not_fitted_again_and_a_lost_decoder_is_named(ran, sd15):
    at, plans, done = ran
    again, _, finished = bench.run(bench.request(sd15, AXES), at.runs.root)
    assert finished.computed == 0
    (decoder,) = {s.key: s for p in plans for s in p.stages() if s.kind == "decoder"}.values()
    kept = at.folder(decoder).rename(at.runs.root / "away")
    record = done.records[plans[0].id]
    with pytest.raises(BadData, match="what its decoder stage made"):
        Reopened(Record(record.body, record.folder), again).pictures([str(record.statistics.ids[0])])
    kept.rename(at.folder(decoder))


def test_its_options_and_its_seed_are_part_of_the_key_and_of_no_other_cells(sd15, tmp_path):
    def decoder_of(text, seed=0):
        _, (plan,) = bench.plans(bench.request(sd15, {"encoding": [text]}, seeds=(seed,)), tmp_path)
        found = [stage for stage in plan.stages() if stage.kind == "decoder"]
        predict = next(stage for stage in plan.stages() if stage.kind == "predict")
        assert ("decoder" in predict.spec) == bool(found)
        return found[0].key if found else None

    keys = [decoder_of(SHORT), decoder_of(f"{SHORT}:noise=0.1"), decoder_of(SHORT, 1)]
    assert len(set(keys)) == 3
    assert {decoder_of(text) for text in ("red_mask", "transparent_mask")} == {None}


def test_with_a_file_of_weights_nothing_is_fitted_and_its_content_is_the_key(sd15, tmp_path, learnt):
    def key(file):
        _, (plan,) = bench.plans(bench.request(sd15, {"encoding": [f"transparent_learned:path={file}"]}), tmp_path)
        assert {stage.kind for stage in plan.stages()} == {"latents", "train", "predict", "ceiling", "score"}
        return plan.key

    copy, other = tmp_path / "copy", tmp_path / "other"
    copy.write_bytes(learnt[1].read_bytes())
    weights = load_file(learnt[1])
    weights["said.bias"] = weights["said.bias"] + 1
    save_file(weights, other)
    assert key(learnt[1]) == key(copy) != key(other)


def test_a_decoder_is_no_member_of_an_ensemble_and_no_answer(sd15, tmp_path):
    given = {"encoding": [SHORT]}
    _, (plan,), done = bench.run(bench.request(sd15, given, ensemble=2, read_at="best_on_stats"), tmp_path)
    assert not done.failures
    assert [stage.kind for stage in plan.score.inputs] == ["predict", "predict", "predict"]
    assert done.records[plan.id].result["ensemble"] == 2

"""What a model card says of results: the numbers of the table, read back by Hugging Face's own library as they were."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard, parse_eval_result_entries
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from results import record

from addp_bench import __version__
from addp_bench.errors import BadData, BadRequest, UnknownName
from addp_bench.exports import eval_results
from addp_bench.exports.model_cards import block, put_into, results
from addp_bench.metrics import MeanOf
from addp_bench.results.tables import leaderboard

BASE = np.random.default_rng(0).uniform(0.1, 0.7, 60)


@pytest.fixture
def cells(tmp_path):
    """Three seeds of one model."""
    rng = np.random.default_rng(1)
    return [record(tmp_path / "runs", BASE + rng.normal(0, 0.02, 60), seed=seed) for seed in range(3)]


def test_values_and_intervals_are_those_of_the_table(cells):
    found = {one.metric_type: one for one in results(cells)}
    (row,) = leaderboard(cells).sections[0].rows
    oiou = found["oiou"]
    assert oiou.metric_value == pytest.approx(100 * row["metrics"]["oiou"]["value"])
    assert found["miou"].metric_value == pytest.approx(100 * row["metrics"]["miou"]["value"])
    args = oiou.metric_args
    ends = [100 * row["metrics"]["oiou"][end] for end in ("low", "high")]
    assert [args["low"], args["high"]] == pytest.approx(ends)
    assert (args["level"], args["seeds"], args["samples"]) == (0.95, [0, 1, 2], 60)
    assert args["cells"] == [cell.id for cell in cells]
    assert (oiou.task_type, oiou.task_name, oiou.metric_name) == ("image-segmentation", "ris", "oIoU")
    assert (oiou.dataset_type, oiou.dataset_split, oiou.dataset_config) == ("tabletop", "val", "tabletop_ris")
    assert oiou.dataset_revision == "f0"


def test_units_of_their_own_are_left_as_they_are(tmp_path):
    error = MeanOf(id="rmse", label="RMSE", unit="m", higher_is_better=False, column="iou")
    (one,) = results([record(tmp_path, BASE, metrics=(error,))])
    assert one.metric_value == pytest.approx(BASE.mean())
    assert (one.metric_args["unit"], one.metric_args["higher_is_better"]) == ("m", False)


def test_the_card_reads_back_as_the_results_it_was_made_of(cells, tmp_path):
    other = record(tmp_path / "runs", BASE, result_task="depth", seed=0)
    found = results([*cells, other], "https://example.org/results.zip")
    text = block("me/model", found)
    card = ModelCard(f"{text}\n# words\n")
    assert card.data.model_name == "me/model"
    assert _plain(card.data.eval_results) == _plain(found)
    index = yaml.safe_load(text.strip("-\n"))["model-index"]
    assert index == eval_results_to_model_index("me/model", found)
    name, again = model_index_to_eval_results(index)
    assert (name, _plain(again)) == ("me/model", _plain(found))
    assert {entry["task"]["type"] for entry in index[0]["results"]} == {"image-segmentation", "depth-estimation"}
    assert index[0]["results"][0]["source"]["url"] == "https://example.org/results.zip"
    assert "source" not in eval_results_to_model_index("m", results(cells))[0]["results"][0]


def _plain(found: list[EvalResult]) -> list[dict]:
    return [vars(one) for one in found]


def test_two_models_make_no_card(tmp_path):
    two = [record(tmp_path, BASE, weights=weights) for weights in ("uniform", "p2")]
    with pytest.raises(BadRequest, match="differ in weights; name cells of one"):
        results(two)


def test_a_metric_without_a_value_is_left_out(tmp_path):
    entry = {"label": "oIoU", "unit": "points", "higher_is_better": True, "version": 1, "value": None, "reason": "none"}
    whole = {**entry, "label": "AP", "value": 0.25, "reason": None}
    (one,) = results([record(tmp_path, BASE, result_metrics={"oiou": entry, "ap": whole})])
    assert (one.metric_type, one.metric_value) == ("ap", 25.0)
    assert "low" not in one.metric_args


def test_a_card_keeps_its_words_and_its_other_metadata(cells, tmp_path):
    file = tmp_path / "README.md"
    file.write_text("---\nlicense: apache-2.0\ntags:\n- depth\nmodel-index:\n- name: old\n---\n# My model\n\nWords.\n")
    text = put_into(file, "me/model", results(cells)).decode()
    assert text.endswith("# My model\n\nWords.\n")
    card = yaml.safe_load(text.split("---")[1])
    assert (card["license"], card["tags"]) == ("apache-2.0", ["depth"])
    assert [entry["name"] for entry in card["model-index"]] == ["me/model"]
    assert len(card["model-index"][0]["results"][0]["metrics"]) == 2


def test_the_command_prints_the_block_or_puts_it_into_a_card(shell, cells, tmp_path):
    asked = ("export", "hf", *(cell.id for cell in cells), "--name", "me/model", "--runs", tmp_path / "runs")
    code, out, err = shell(*asked)
    assert (code, err, out.strip()) == (0, "", block("me/model", results(cells)))
    code, out, _ = shell(*asked, "--out", tmp_path / "README.md")
    assert (code, "2 results of me/model" in out) == (0, True)
    assert ModelCard.load(tmp_path / "README.md").data.model_name == "me/model"
    assert json.loads(shell(*asked, "--json")[1])["results"] == 2
    (tmp_path / "README.md").write_text("---\na: [\n---\n")
    code, out, err = shell(*asked, "--out", tmp_path / "README.md")
    assert (code, out) == (2, "")
    assert "its metadata cannot be read" in err


def test_the_evaluation_file_is_read_back_by_the_hubs_library(shell, cells, tmp_path):
    """Parity with huggingface_hub 2.4."""
    card, asked = tmp_path / "model" / "README.md", ("export", "hf", *(cell.id for cell in cells), "--name", "me/m")
    options = ("--runs", tmp_path / "runs", "--benchmark", "me/tabletop", "--url", "https://example.org/r.zip")
    code, out, _ = shell(*asked, *options, "--out", card)
    file = card.parent / ".eval_results" / "tabletop.yaml"
    assert (code, f"{file}: 2 results for me/tabletop" in out) == (0, True)
    oiou, miou = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    expected = {one.metric_type: one for one in results(cells)}
    assert (oiou.dataset_id, oiou.task_id, miou.task_id) == ("me/tabletop", "ris_val_oiou", "ris_val_miou")
    assert (oiou.value, miou.value) == (expected["oiou"].metric_value, expected["miou"].metric_value)
    assert (oiou.source_url, oiou.source_name) == ("https://example.org/r.zip", f"addp-bench {__version__}")
    assert oiou.date == max(cell.provenance["finished"] for cell in cells)
    assert oiou.dataset_revision is None
    args = expected["oiou"].metric_args
    for said in (f"[{args['low']:.4g}, {args['high']:.4g}] at 95 %", "seeds [0, 1, 2]", "60 samples", *args["cells"]):
        assert said in oiou.notes


def test_a_benchmark_may_call_results_otherwise_and_other_entries_stay(shell, cells, tmp_path):
    file = tmp_path / ".eval_results" / "tabletop.yaml"
    file.parent.mkdir()
    theirs = [{"dataset": {"id": "me/tabletop", "task_id": task}, "value": 1.0} for task in ("depth", "oiou")]
    file.write_text(yaml.safe_dump(theirs))
    asked = ("export", "hf", cells[0].id, "--name", "me/m", "--runs", tmp_path / "runs", "--benchmark", "me/tabletop")
    assert shell(*asked, "--task-id", "ris_val_oiou=oiou", "--out", tmp_path / "README.md")[0] == 0
    kept, made = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    assert (kept.task_id, kept.value) == ("depth", 1.0)
    assert (made.task_id, made.value) == ("oiou", results(cells[:1])[0].metric_value)
    code, out, _ = shell(*asked)
    assert (code, out.count("task_id: ris_val_")) == (0, 2)
    assert json.loads(shell(*asked, "--json")[1])["evaluation"]["file"] == ".eval_results/tabletop.yaml"


@pytest.mark.parametrize(
    "options, said",
    [
        (("--benchmark", "tabletop"), "takes the id of a dataset on the Hub, ORG/DATASET, got 'tabletop'"),
        (("--benchmark", "me/../up"), "ORG/DATASET"),
        (("--benchmark", "me/t", "--task-id", "ris_val_oiu=o"), "Did you mean 'ris_val_oiou'?"),
        (("--benchmark", "me/t", "--task-id", "oiou"), "--task-id takes RESULT=ID"),
        (("--task-id", "ris_val_oiou=o"), "names results of a --benchmark"),
    ],
)
def test_a_mistake_in_what_is_wanted_writes_nothing(shell, cells, tmp_path, options, said):
    card = tmp_path / "README.md"
    asked = ("export", "hf", cells[0].id, "--name", "me/m", "--runs", tmp_path / "runs", "--out", card)
    code, out, err = shell(*asked, *options)
    assert (code, out, said in err, card.exists()) == (2, "", True, False)


def test_two_results_of_one_name_are_two_benchmarks(cells, tmp_path):
    other = record(tmp_path / "runs", BASE, result_dataset={**cells[0].result["dataset"], "name": "refcoco"})
    with pytest.raises(
        BadRequest, match=r"ris_val_oiou: .*tabletop.* and .*refcoco|ris_val_oiou: .*refcoco.* and .*tab"
    ):
        eval_results.entries(results([cells[0], other]), "me/t", {})
    with pytest.raises(UnknownName):
        eval_results.entries(results(cells), "me/t", {"ris_test_oiou": "x"})


def test_a_file_that_holds_something_else_is_left_as_it_is(tmp_path):
    file = tmp_path / "x.yaml"
    for text in ("a: [", "- 3\n", "{a: 1}\n"):
        file.write_text(text)
        with pytest.raises(BadData, match="is no file of evaluation results"):
            eval_results.put_into(file, [])

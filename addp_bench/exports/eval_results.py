"""Results as the Hub's evaluation files, `.eval_results/*.yaml` in a model's repository.

Pages of the model and the leaderboard of the benchmark's dataset show what they hold. A benchmark is a dataset on the
Hub that declares its tasks; which of them a metric is, only whoever made the benchmark knows, so names can be given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addp_bench.errors import BadData, BadRequest, unknown
from addp_bench.records import clean

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

FOLDER = ".eval_results"


def named(benchmark: str) -> str:
    """Where a model's repository keeps its results of a benchmark (ORG/DATASET). Raises BadRequest for another form."""
    org, _, dataset = benchmark.partition("/")
    if not org or not dataset or "/" in dataset or dataset.startswith("."):
        raise BadRequest([f"--benchmark takes the id of a dataset on the Hub, ORG/DATASET, got {benchmark!r}"])
    return f"{FOLDER}/{dataset}.yaml"


def entries(
    found: Sequence[EvalResult], benchmark: str, names: Mapping[str, str], finished: str | None = None
) -> list[dict[str, Any]]:
    """One entry for each result of `model_cards.results`, called TASK_SPLIT_METRIC unless `names` calls it otherwise.

    names: TASK_SPLIT_METRIC -> what the benchmark calls it; with any, the others are left out. finished: when the last
    of the cells was judged, ISO 8601.

    Raises UnknownName for a name that no result has, BadRequest for two results of one name, and where huggingface_hub
    is too old to know these files.
    """
    try:
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    except ImportError as old:
        raise BadRequest(
            ["--benchmark needs huggingface_hub 1.4 or later; `pip install -U huggingface_hub` brings it"]
        ) from old
    ours: dict[str, EvalResult] = {}
    for result in found:
        name = "_".join((result.task_name or result.task_type, result.dataset_split or "", result.metric_type))
        if (other := ours.setdefault(name, result)) is not result:
            places = " and ".join(f"{one.dataset_name} ({one.dataset_config})" for one in (other, result))
            raise BadRequest([f"two results are called {name}: {places}; name the cells of one benchmark"])
    for name in names:
        if name not in ours:
            raise unknown("result", name, ours)
    return eval_result_entries_to_yaml(
        [
            EvalResultEntry(
                dataset_id=clean(benchmark),
                task_id=clean(names.get(name, name)),
                value=result.metric_value,
                date=finished,
                source_url=result.source_url,
                source_name=result.source_name,
                notes=_notes(result),
            )
            for name, result in ours.items()
            if not names or name in names
        ]
    )


def put_into(file: Path, made: Sequence[Mapping[str, Any]]) -> bytes:
    """The content of a file of results with these among its entries; those of other tasks stay as they are.

    file: which need not be there yet. Raises BadData for one that cannot be read.
    """
    kept: list[Any] = []
    if file.exists():
        import yaml

        try:
            kept = yaml.safe_load(file.read_text(encoding="utf-8")) or []
            replaced = {_place(entry) for entry in made}
            kept = [entry for entry in kept if _place(entry) not in replaced]
        except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as broken:
            raise BadData(f"{file}: is no file of evaluation results ({clean(str(broken))[:200]})") from broken
    return block([*kept, *made]).encode()


def block(made: Sequence[Mapping[str, Any]]) -> str:
    """Entries as the YAML that such a file holds."""
    import yaml

    return yaml.safe_dump([dict(entry) for entry in made], sort_keys=False, allow_unicode=True)


def _place(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["dataset"]["id"], entry["dataset"]["task_id"]


def _notes(result: EvalResult) -> str:
    """What a reader needs beside the value, in one line."""
    told = result.metric_args or {}
    ends = f"[{told['low']:.4g}, {told['high']:.4g}] at {100 * told['level']:g} %" if "low" in told else "no interval"
    direction = "higher" if told["higher_is_better"] else "lower"
    return (
        f"{result.metric_name} in {told['unit']}, {direction} is better; {ends}; seeds {told['seeds']},"
        f" {told['samples']} samples, budget {told['budget']}; protocol {result.dataset_config}"
        f" version {told['protocol_version']} ({told['protocol_hash']}); cells {', '.join(told['cells'])}"
    )

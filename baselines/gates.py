"""What `tiny` must be able to do before figures made with it mean anything, read off its folder and finished cells.

Cells count that were judged on `stats` with the weights at hand, budget `quick` but for the number of samples; of
several the one with most samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .layout import Folder

if TYPE_CHECKING:
    from addp_bench.records import Record
    from addp_bench.types import Budget

Row = tuple[str, Any, str, bool]  # what, measured, expected, kept
SIZE = 24_000_000  # bytes of all weights that are shipped
RUN = "addp-bench run --task ris --split stats --limit 400 "
# The cells that are read: the choices by which one is known, and the flags that make it.
CELLS: Mapping[str, tuple[Mapping[str, str], str]] = {
    "uniform": ({"weights": "uniform", "target": "x0"}, "--weights uniform"),
    "perception_stats": ({"weights": "perception_stats", "target": "x0"}, "--weights perception_stats"),
    "epsilon": ({"weights": "uniform", "target": "epsilon"}, "--target epsilon --noise scaled_linear"),
}


def measure(
    folder: Folder, fingerprint: str, guidance: str, budget: Budget, records: Sequence[Record]
) -> Iterator[Row]:
    """(what, measured, expected, kept) for each gate. Where no cell says it: None, and the command that would."""
    channels = folder.configs["vae"]["latent_channels"]
    width = folder.configs["unet"]["block_out_channels"][0]
    yield "latent channels", channels, f"at most {width // 3}, a third of the first width", 3 * channels <= width
    weights = sum(file.stat().st_size for file in folder.root.parent.rglob("*.safetensors"))
    yield "weights of both stages, MB", round(weights / 1e6, 1), "below 24", weights < SIZE
    numbers = budget.train_steps, budget.batch_size
    found: dict[str, Record | None] = {}
    for name, (chosen, _) in CELLS.items():
        fitting = [record for record in records if _fits(record.result, fingerprint, guidance, numbers, chosen)]
        found[name] = max(fitting, key=_scored, default=None)

    def row(what: str, name: str, value: float | None, expected: str, kept: Callable[[float], bool]) -> Row:
        if value is None:
            return what, None, f"{expected}; needs: {RUN}{CELLS[name][1]}", False
        return what, value, expected, kept(value)

    uniform, measured, epsilon = found["uniform"], found["perception_stats"], found["epsilon"]
    yield row("points that the curve rises after its first step", "uniform", _rise(uniform), ">= 5", lambda x: x >= 5)
    share = measured.result["contribution"]["raw"][-1] if measured else None
    yield row("variance that the noisiest tenth explains", "perception_stats", share, "< 0.9", lambda x: x < 0.9)
    for level in ("L0", "L1"):
        seen = uniform.result["slices"]["level"][level]["metrics"]["oiou"] if uniform else None
        yield row(f"oIoU of {level}", "uniform", seen, ">= 0.7", lambda x: x >= 0.7)
    of_x0, of_epsilon = (record.value("oiou") if record else None for record in (uniform, epsilon))
    ratio = None if of_x0 is None or of_epsilon is None else of_epsilon / of_x0
    needs = "epsilon" if uniform else "uniform"
    yield row("oIoU as an epsilon model, share of x0's", needs, ratio, ">= 0.8", lambda x: x >= 0.8)


def _scored(record: Record) -> tuple[int, str]:
    return record.result["samples"]["scored"], str(record.provenance.get("finished"))


def _fits(
    result: Mapping[str, Any], fingerprint: str, guidance: str, budget: tuple[int, int], chosen: Mapping[str, str]
) -> bool:
    choices, training = result["choices"], result["training"]
    said = choices.get("guidance", {"name": "", "options": {}})
    return (
        choices["model"].get("fingerprint") == fingerprint
        and (result["dataset"]["name"], result["dataset"]["split"]) == ("tabletop", "stats")
        and training is not None
        and all(choices[kind]["name"] == name for kind, name in {**chosen, "aug": "none"}.items())
        and (chosen["target"] == "epsilon" or "noise" not in choices)
        and ":".join([said["name"], *(f"{k}={v}" for k, v in said["options"].items())]) == guidance
        and (training["steps"], training["batch_size"]) == budget
        and training["dataset"]["options"].get("shuffled") == "none"
    )


def _rise(record: Record | None) -> float | None:
    curve = record.result["curve"]["metrics"]["oiou"] if record else None
    return None if curve is None else 100 * (curve[-1] - curve[0])

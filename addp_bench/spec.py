"""The shape of a request: which plugins, with which options, trained and judged how. Knows no plugin and no default.

A request has two halves, `train` and `eval`, because trained on one mixture and judged on many sets is the normal case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from addp_bench.errors import BadOption

# A kind's name is its flag.
KINDS = (
    "task",
    "dataset",
    "encoding",
    "weights",
    "aug",
    "corruption",
    "transform",
    "exposure",
    "target",
    "noise",
    "objective",
    "model",
    "sampler",
    "guidance",
    "agent",
    "executor",
    "tracker",
)

_OPTION = re.compile(r":(?=[A-Za-z_][A-Za-z0-9_-]*=)")


def tidy(name: str) -> str:
    """A name as it is looked up: lower case, `_` for `-`."""
    return name.strip().lower().replace("-", "_")


@dataclass(frozen=True)
class Choice:
    """A plugin by name with some of its options: `min_snr:gamma=5:form=x0`."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Choice:
        """Read `name:option=value:option=value`. Values stay text; their types are the plugin's to say.

        A colon that is not followed by `word=` belongs to the value, so paths may hold colons.
        """
        name, *pairs = _OPTION.split(text)
        if ":" in name:
            head, rest = name.split(":", 1)
            raise BadOption(f"cannot read {text!r}: after {head!r} comes option=value, met {rest!r}")
        options: dict[str, str] = {}
        for pair in pairs:
            key, value = pair.split("=", 1)
            if (key := tidy(key)) in options:
                raise BadOption(f"{text!r} gives {key} twice")
            options[key] = value
        return cls(tidy(name), options)

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return ":".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])

    def plain(self) -> dict[str, Any]:
        """For JSON: {"name": ..., "options": {...}}."""
        return {"name": self.name, "options": dict(self.options)}


@dataclass(frozen=True)
class Wanted:
    """One task of a mixture as it was asked for. share: None where nobody said. dataset, encoding: "" for its own."""

    task: str
    share: float | None = None
    dataset: str = ""
    encoding: str = ""


@dataclass(frozen=True)
class Request:
    """What was asked for, before anything is known of plugins.

    axes: kind -> as written (`min_snr:gamma=5`, `all`). corruption, transform: alternatives, each a set joined by `+`.
    overrides: fields of the budget that were given (`types.Budget`). ensemble: how many answers to each question, from
    starts of their own, are made one; None for 1, or what the protocol's card asks for. read_at: "final",
    "best_on_stats" or "t=NNN". tune_on: the split on which the encoding's threshold is chosen, None for its own.
    force: run what is refused as senseless. trained_on: the dataset that is trained on where it is not the one that is
    judged on. train_split: the split that is trained on, None for its dataset's own. mixture: the tasks that are
    trained together, each judged unless `axes` names some; empty where the judged one is trained. given: names of the
    other fields that somebody wrote, rather than left as they are. The product of all alternatives is the grid.
    """

    axes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    corruption: Sequence[str] = ()
    transform: Sequence[str] = ()
    seeds: Sequence[int] = (0,)
    sampling_seed: int = 0
    ensemble: int | None = None
    budget: str = "quick"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    split: str | None = None
    protocol: str | None = None
    read_at: str = "final"
    tune_on: str | None = None
    precision: str = "fp32"
    force: bool = False
    trained_on: str | None = None
    train_split: str | None = None
    mixture: Sequence[Wanted] = ()
    given: frozenset[str] = frozenset()


def parse_mixture(text: str) -> tuple[Wanted, ...]:
    """`depth=0.3+semantic=0.7`, or `depth+semantic` for equal shares. Raises BadOption."""
    found = []
    for piece in text.split("+"):
        name, said, share = piece.partition("=")
        try:
            found.append(Wanted(tidy(name), float(share) if said else None))
        except ValueError:
            raise BadOption(f"cannot read {piece!r}: write task=share, such as depth=0.3+semantic=0.7") from None
    return tuple(found)


def shares(mixture: Sequence[Wanted]) -> list[float]:
    """The share of every task: what was said, or equal ones where nothing was. Raises BadOption."""
    names, said = [wanted.task for wanted in mixture], [wanted.share for wanted in mixture]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadOption(f"a mixture names task {twice[0]} twice")
    known = [share for share in said if share is not None]
    if not known:
        return [1 / len(mixture)] * len(mixture)
    if len(known) < len(said):
        raise BadOption("a mixture gives a share to every task, or to none for equal ones")
    if not all(share > 0 for share in known) or abs(sum(known) - 1) > 1e-6:
        raise BadOption(f"shares of a mixture are above 0 and add up to 1, met {' + '.join(f'{s:g}' for s in known)}")
    return known


def parse_seeds(texts: Sequence[str]) -> tuple[int, ...]:
    """`0..4` (4 included), `7`, `1,5,9`; several are joined, each seed once. Raises BadOption."""
    found: list[int] = []
    for piece in (p for text in texts for p in text.split(",")):
        match = re.fullmatch(r"\s*(\d+)(?:\.\.(\d+))?\s*", piece)
        if match is None:
            raise BadOption(f"cannot read seeds {piece!r}: write 3, 0..4 or 1,5,9")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise BadOption(f"seeds {piece!r} run backwards")
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))

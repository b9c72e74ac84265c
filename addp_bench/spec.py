"""The shape of a request: which plugins, with which options, trained and judged how. Knows no plugin and no default.

A request has two halves, `train` and `eval`, because trained on one mixture and judged on many sets is the normal case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
        return ":".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])

    def plain(self) -> dict[str, Any]:
        """For JSON: {"name": ..., "options": {...}}."""
        return {"name": self.name, "options": dict(self.options)}


@dataclass(frozen=True)
class Request:
    """What was asked for, before anything is known of plugins.

    axes: kind -> as written (`min_snr:gamma=5`, `all`). corruption, transform: alternatives, each a set joined by `+`.
    overrides: fields of the budget that were given (`types.Budget`). read_at: "final", "best_on_stats" or "t=NNN".
    force: run what is refused as senseless. trained_on: the dataset that is trained on where it is not the one that is
    judged on. train_split: the split that is trained on, None for its dataset's own. given: names of the other fields
    that somebody wrote, rather than left as they are. The product of all alternatives is the grid.
    """

    axes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    corruption: Sequence[str] = ()
    transform: Sequence[str] = ()
    seeds: Sequence[int] = (0,)
    sampling_seed: int = 0
    budget: str = "quick"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    split: str | None = None
    protocol: str | None = None
    read_at: str = "final"
    precision: str = "fp32"
    force: bool = False
    trained_on: str | None = None
    train_split: str | None = None
    given: frozenset[str] = frozenset()


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

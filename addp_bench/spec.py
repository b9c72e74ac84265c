"""The shape of a request: which plugins, with which options, trained and judged how. Knows no plugin and no default of one.

A request has two halves, `train` and `eval`, because trained on one mixture and judged on many sets is the normal case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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

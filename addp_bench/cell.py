"""A cell: one resolved combination. What it is made of decides its result; where it runs, and how fast, does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from addp_bench.mixture import Part
from addp_bench.spec import Choice
from addp_bench.types import Budget


@dataclass(frozen=True)
class Cell:
    """One resolved combination.

    choices: kind -> choice, options complete; kinds that mean nothing to the model are absent. corruption and
    transform: in the order they are applied, empty when nothing is. protocol: its name; what it says is the task's.
    budget: resolved, with the caller's overrides. seed: of training. sampling_seed: of the noise that evaluation
    starts from. ensemble: how many answers, each from a start of its own, are made one. splits: by purpose
    ("train", "stats", "eval", and "tune" where a threshold is chosen). trained_on: the dataset of all but the judged
    one, where it is another. denoises: it is trained and sampled. probes: a network's features are read, and nothing is
    drawn. mixture: the tasks that are trained together, none for one alone; the judged one stands among `choices` too.
    options: which of all this was given and which defaulted (`resolve.origins`); says nothing of what the cell is.
    """

    choices: Mapping[str, Choice]
    corruption: tuple[Choice, ...]
    splits: Mapping[str, str]
    protocol: str
    budget: Budget
    seed: int
    sampling_seed: int = 0
    trained_on: Choice | None = None
    read_at: str = "final"
    precision: str = "fp32"
    denoises: bool = True
    transform: tuple[Choice, ...] = ()
    mixture: tuple[Part, ...] = ()
    ensemble: int = 1
    probes: bool = False
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def dataset(self, purpose: str) -> Choice:
        """The dataset that serves "train", "stats" or "eval"."""
        return self.trained_on if self.trained_on and purpose != "eval" else self.choices["dataset"]

    def parts(self) -> list[Cell]:
        """The cell as each task of its mixture sees it; itself where it trains one."""
        if not self.mixture:
            return [self]
        return [
            dataclasses.replace(
                self,
                choices={**self.choices, "task": part.task, "dataset": part.dataset, "encoding": part.encoding},
                corruption=part.corruption,
                splits={**self.splits, **part.splits},
                trained_on=None,
            )
            for part in self.mixture
        ]

    def __getitem__(self, kind: str) -> Choice:
        return self.choices[kind]

    def name(self, kind: str) -> str:
        return self.choices[kind].name

    def plain(self) -> dict[str, Any]:
        """For JSON; `from_plain` reads it back."""
        simple = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.compare}
        return {
            **simple,
            "choices": {kind: c.plain() for kind, c in self.choices.items()},
            "corruption": [c.plain() for c in self.corruption],
            "transform": [c.plain() for c in self.transform],
            "mixture": [part.plain() for part in self.mixture],
            "splits": dict(self.splits),
            "trained_on": self.trained_on.plain() if self.trained_on else None,
            "budget": dataclasses.asdict(self.budget),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Cell:
        """What `plain` gave, as a record keeps it."""
        return cls(
            **{
                **plain,
                "choices": {kind: Choice(**c) for kind, c in plain["choices"].items()},
                "corruption": tuple(Choice(**c) for c in plain["corruption"]),
                "transform": tuple(Choice(**c) for c in plain.get("transform", ())),
                "mixture": tuple(Part.from_plain(p) for p in plain.get("mixture", ())),
                "budget": Budget(**plain["budget"]),
                "trained_on": Choice(**plain["trained_on"]) if plain["trained_on"] else None,
            }
        )

    def describe(self) -> str:
        """One line: what distinguishes cells in a listing; of the rest what was given."""
        if not self.denoises:
            parts = [(k, self.choices[k]) for k in ("task", "dataset", "model")]
        else:
            kinds = ("task", "dataset", "model", "weights", "aug", "target", "guidance")
            parts = [(k, self.choices[k]) for k in kinds]
        shown = {p for p, _ in parts} | {"seed", "budget"}
        given = self.options.get("given", {}).items()
        said = [f"{name}={value}" for name, value in given if name not in shown]
        return " · ".join([*(choice.name for _, choice in parts), self.budget.name, *said, f"seed {self.seed}"])

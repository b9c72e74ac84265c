"""What keys say of data, models and plugins, so that a stage is made again when one of them changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from addp_bench.keys import placeless, plugin_digest

if TYPE_CHECKING:
    from addp_bench.cards import Cards
    from addp_bench.cell import Cell
    from addp_bench.registry import Registry
    from addp_bench.spec import Choice


class Facts:
    """Read off the cards of datasets and models, and off the files of plugins."""

    def __init__(self, registry: Registry, cards: Cards) -> None:
        self.registry, self.cards = registry, cards
        self._digests: dict[tuple[str, str], str] = {}

    def data(self, cell: Cell, purpose: str, limit: int | None) -> dict[str, Any]:
        """Which samples a purpose uses."""
        choice = cell.dataset(purpose)
        card = self.cards.data(choice)
        return {
            "dataset": placeless(choice),
            "split": cell.splits[purpose],
            "limit": limit,
            "fingerprint": card.fingerprint,
        }

    def count(self, cell: Cell, purpose: str, limit: int | None) -> int | None:
        """How many samples a purpose uses, as the dataset's card counts them; None where nothing says."""
        there = self.cards.data(cell.dataset(purpose)).counts.get(cell.splits[purpose])
        return min((n for n in (there, limit) if n is not None), default=None)

    def photographs(self, cell: Cell, limit: int | None) -> int | None:
        """How many photographs a training sees, where its steps hang on that; None elsewhere."""
        if cell.budget.train_steps or cell.budget.epochs is None:
            return None
        dataset = self.cards.dataset(cell.dataset("train"))
        return len(set(dataset.samples(cell.splits["train"], cell.name("task")).image_ids[:limit]))

    def model(self, cell: Cell) -> dict[str, Any]:
        """The model as it was published."""
        card = self.cards.model(cell["model"])
        return {
            "choice": placeless(cell["model"]),
            "fingerprint": card.fingerprint,
            "plugin": self.plugins([("model", cell["model"])]),
        }

    def plugins(self, chosen: Iterable[tuple[str, Choice]]) -> dict[str, str]:
        """`weights:min_snr` -> digest of the files that define it."""
        found = {}
        for kind, choice in chosen:
            if (kind, choice.name) not in self._digests:
                source = self.registry.get(kind, choice.name).source
                self._digests[kind, choice.name] = plugin_digest(source) if source else "no source file"
            found[f"{kind}:{choice.name}"] = self._digests[kind, choice.name]
        return found


def context(cell: Cell, purpose: str = "eval") -> dict[str, Any]:
    """What the work of a stage needs beside its spec."""
    return {"cell": cell, "purpose": purpose}

"""What keys say of data, models and plugins, so that a stage is made again when one of them changes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addp_bench.keys import file_digest, placeless, plugin_digest

if TYPE_CHECKING:
    import pluggy

    from addp_bench.cards import Cards
    from addp_bench.cell import Cell
    from addp_bench.installed import Source
    from addp_bench.registry import Registry
    from addp_bench.spec import Choice
    from addp_bench.stages import Plan


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


def used(plan: Plan, registry: Registry, hooks: pluggy.PluginManager) -> dict[str, dict[str, Any]]:
    """Every plugin that a cell rests on ("weights:band"), and every module that listens to runs ("hooks:acme_log").

    Of each: origin; distribution and version, None for a file; module, None for a file; file, the path of one, None for
    what was installed; sha256 of the source file; digest, as keys hold it, of what that file and its siblings do.
    """
    named = [spec["plugins"] for stage in plan.stages() if isinstance((spec := stage.spec).get("plugins"), dict)]
    chosen = {f"{kind}:{choice.name}": None for kind, choice in plan.cell.choices.items()}
    found = {}
    for name in [*chosen, *sorted({name for mapping in named for name in mapping} - chosen.keys())]:
        entry = registry.get(*name.split(":"))
        module = next((source for source in registry.modules.values() if source.origin == entry.origin), None)
        found[name] = _code(entry.origin, module, entry.factory.__module__, entry.source)
    for name, plugin in hooks.list_name_plugin():
        source = registry.modules.get(name)
        if source is not None and _listens(hooks, plugin):
            file = inspect.getsourcefile(plugin) if inspect.ismodule(plugin) else None
            code = _code(source.origin, source, source.module, Path(file) if file else None)
            found[f"hooks:{source.name}"] = code
    return found


def _code(origin: str, announced: Source | None, module: str, file: Path | None) -> dict[str, Any]:
    """announced: what registered it, None where no loader did. file: that defines it, None where there is none."""
    installed = announced is not None and bool(announced.distribution)
    return {
        "origin": origin,
        "distribution": announced.distribution if announced and installed else None,
        "version": (announced.version or None) if announced and installed else None,
        "module": module if installed else None,
        "file": str(file) if file and not installed else None,
        "sha256": file_digest(file) if file else None,
        "digest": plugin_digest(file) if file else None,
    }


def _listens(hooks: pluggy.PluginManager, plugin: Any) -> bool:
    """Whether a module implements a hook of runs, beside registration."""
    return any(caller.name != "addp_bench_register" for caller in hooks.get_hookcallers(plugin) or ())


def context(cell: Cell, purpose: str = "eval") -> dict[str, Any]:
    """What the work of a stage needs beside its spec."""
    return {"cell": cell, "purpose": purpose}

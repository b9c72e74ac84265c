"""What planning reads of datasets and models, each file once however many cells are planned."""

from __future__ import annotations

from typing import Any

from addp_bench.registry import Registry
from addp_bench.spec import Choice
from addp_bench.types import Card, ModelCard


class Cards:
    """Built datasets, the cards of datasets and models, and the names of photographs."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._datasets: dict[str, Any] = {}
        self._data: dict[str, Card] = {}
        self._models: dict[str, ModelCard] = {}
        self._photographs: dict[tuple[str, str, str], frozenset[str]] = {}

    def dataset(self, choice: Choice) -> Any:
        if str(choice) not in self._datasets:
            self._datasets[str(choice)] = self.registry.build("dataset", choice)
        return self._datasets[str(choice)]

    def data(self, choice: Choice) -> Card:
        if str(choice) not in self._data:
            self._data[str(choice)] = self.dataset(choice).card()
        return self._data[str(choice)]

    def photographs(self, choice: Choice, split: str, task: str) -> frozenset[str]:
        """Names of the photographs of a split."""
        key = (str(choice), split, task)
        if key not in self._photographs:
            self._photographs[key] = frozenset(self.dataset(choice).samples(split, task).image_ids)
        return self._photographs[key]

    def model(self, choice: Choice) -> ModelCard:
        if str(choice) not in self._models:
            self._models[str(choice)] = self.registry.get("model", choice.name).factory.card(choice.options)
        return self._models[str(choice)]

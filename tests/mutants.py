"""Plugins with one fault each, by the clause that must find it; and how faults that every kind can have are made."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from addp_bench.checks import comparing
from addp_bench.registry import Registry
from addp_bench.spec import Choice


class Mutant(NamedTuple):
    """clause: that must find it. options: it is checked with."""

    clause: str
    factory: type
    options: dict[str, Any]

    @property
    def kind(self) -> str:
        return self.clause.partition(".")[0]

    def into(self, registry: Registry) -> Choice:
        """Register it, and give the choice that is checked."""
        name = f"mutant_{self.factory.__name__.lower().strip('_')}"
        registry.add(self.kind, name, self.factory)
        return Choice(name, self.options)


MUTANTS: list[Mutant] = []


def mutant(clause: str, **options: Any) -> Callable[[type], type]:
    """Note down a faulty class."""

    def note(factory: type) -> type:
        MUTANTS.append(Mutant(clause, factory, options))
        return factory

    return note


# ------------------------------------------------------------------------------------------------ faults of options


def of_options(kind: str, base: type) -> None:
    """A mutant of `base` for each clause about options, and one that cannot be built."""

    class Silent(base):
        def __init__(self) -> None:
            super().__init__()

    Silent.__doc__ = ""

    class Untyped(base):
        """Has an option of no type.

        strange: what it is.
        """

        def __init__(self, strange=1) -> None:
            super().__init__()

    class Unsaid(base):
        """Has an option of which nothing is said."""

        def __init__(self, strange: int = 1) -> None:
            super().__init__()

    class Unwritten(base):
        """Has an option that no command line can give.

        strange: two numbers.
        """

        def __init__(self, strange: tuple[int, int] = (1, 2)) -> None:
            super().__init__()

    class Refuses(base):
        """Refuses its own default.

        strange: above 1.
        """

        def __init__(self, strange: int = 1) -> None:
            if strange <= 1:
                raise ValueError(f"strange is above 1, got {strange}")
            super().__init__()

    faults = {"words": Silent, "typed": Untyped, "documented": Unsaid, "written": Unwritten, "builds": Refuses}
    for name, factory in faults.items():
        mutant(f"{kind}.{name}")(factory)


# ------------------------------------------------------------------------------------------------ faults of calls

Change = Callable[[Any, Callable[[torch.Tensor], torch.Tensor]], Any]


def plain(answer: Any, f: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The answer is one tensor."""
    return f(answer)


def of_calls(kind: str, base: type, method: str, change: Change, faults: str, raises: str = "") -> None:
    """A mutant of `base` for each of these faults of calls, in `method`. change(answer, f): the answer with f in it.
    raises: the method that raises, where it is another."""
    made = {
        "repeats": _shaken(base, method, change),
        "rebuilt": _counted(base, method, change),
        "global_state": _consuming(base, method),
        "arguments": _writing(base, method),
        "alone": _crowded(base, method, change),
        "device": _altered(base, method, change, lambda x: x.to("meta"), "Elsewhere"),
        "shape": _altered(base, method, change, lambda x: x[None], "Deeper"),
        "dtype": _altered(
            base, method, change, lambda x: x.double() if x.dtype != torch.float64 else x.float(), "Wide"
        ),
        "works": _raising(base, raises or method),
    }
    for name in faults.split():
        mutant(f"{kind}.{name}")(made[name])


ALL = "repeats rebuilt global_state arguments alone device shape dtype works"


def _method(base: type, method: str, called: Callable[..., Any], name: str) -> type:
    """A class like `base` whose `method` is called(self, original, *args, **kwargs)."""

    def new(self: Any, *args: Any, **kwargs: Any) -> Any:
        return called(self, getattr(super(made, self), method), *args, **kwargs)

    made: type = type(f"{name}{base.__name__}", (base,), {method: new, "__doc__": base.__doc__ or "A mutant."})
    return made


def _shaken(base: type, method: str, change: Change) -> type:
    def called(self: Any, original: Any, *args: Any, **kwargs: Any) -> Any:
        chance = 1.0 - 0.5 * float(torch.rand(()))
        return change(original(*args, **kwargs), lambda x: (x * chance).to(x.dtype))

    return _method(base, method, called, "Shaken")


def _counted(base: type, method: str, change: Change) -> type:
    born = iter(range(1, 10_000))

    def called(self: Any, original: Any, *args: Any, **kwargs: Any) -> Any:
        if not hasattr(self, "_born"):
            object.__setattr__(self, "_born", next(born))
        return change(original(*args, **kwargs), lambda x: (x / self._born).to(x.dtype))

    return _method(base, method, called, "Counted")


def _consuming(base: type, method: str) -> type:
    def called(self: Any, original: Any, *args: Any, **kwargs: Any) -> Any:
        random.random()
        np.random.rand()  # noqa: NPY002  # the fault
        return original(*args, **kwargs)

    return _method(base, method, called, "Consuming")


def _writing(base: type, method: str) -> type:
    def called(self: Any, original: Any, *args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        spoil([*args, *kwargs.values()])
        return answer

    return _method(base, method, called, "Writing")


def _crowded(base: type, method: str, change: Change) -> type:
    def called(self: Any, original: Any, *args: Any, **kwargs: Any) -> Any:
        count = next(len(x) for x in tensors([*args, *kwargs.values()]))
        return change(original(*args, **kwargs), lambda x: (x * (1.0 - count / 2000.0)).to(x.dtype))

    return _method(base, method, called, "Crowded")


def _altered(base: type, method: str, change: Change, f: Callable[[torch.Tensor], torch.Tensor], name: str) -> type:
    return _method(base, method, lambda self, original, *a, **k: change(original(*a, **k), f), name)


def _raising(base: type, method: str) -> type:
    def called(self: Any, original: Any, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("not to-day")

    return _method(base, method, called, "Raising")


def tensors(value: Any) -> Iterator[Any]:
    """Every tensor and array in it."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        if value.ndim:
            yield value
        return
    for _, part in comparing._parts(value):
        yield from tensors(part)


def spoil(value: Any) -> None:
    """Write into the first tensor or array."""
    first = next(tensors(value))
    first[...] = ~first if first.dtype in (torch.bool, np.bool_) else first + 1


def painted(drawing: Any, f: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The answer is a Drawing."""
    return dataclasses.replace(drawing, rgb=f(drawing.rgb))

"""What every kind promises: of its options, and of the calls that are made to it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from addp_bench.errors import BenchError
from addp_bench.registry import Entry, Registry
from addp_bench.spec import Choice

from .clauses import CLAUSES
from .comparing import differ, elsewhere, flat, moved, row_of, states_kept, stir
from .given import Finding, Subject, said, unseen

NEAR = 1e-5  # sums of another batch may round otherwise


@dataclass(frozen=True)
class Call:
    """What a plugin is asked, as often as promises about it need.

    given: its arguments by name, new and equal each time. ask(plugin, given): its answers by name. expected: shape and
    dtype of answers that the contract says, which lie on the device of the arguments. batch: samples in each row of
    arguments and answers, 0 where they have no rows. near: by how much a sample may differ in another batch or on
    another device. of: what is asked, where several are.
    """

    given: Callable[[], dict[str, Any]]
    ask: Callable[[Any, dict[str, Any]], Mapping[str, Any]]
    expected: Mapping[str, tuple[tuple[int, ...], torch.dtype]] = field(default_factory=dict)
    batch: int = 0
    near: float = NEAR
    of: str = ""


def options(entry: Entry, choice: Choice, registry: Registry) -> Iterator[Finding]:
    """Words, types and defaults of a plugin's options; nothing is built."""
    kind = entry.kind
    first = next(iter(entry.words.splitlines()), "")
    yield said(f"{kind}.words", first.strip(), "it has no docstring")
    untyped = [o.name for o in entry.options if o.annotation is Any]
    yield said(f"{kind}.typed", not untyped, f"{', '.join(untyped)} has none")
    silent = [o.name for o in entry.options if not o.words]
    yield said(f"{kind}.documented", not silent, f"{', '.join(silent)} has none")
    whole = registry.resolve(kind, choice)
    yield Finding(f"{kind}.written", _reading_back(registry, kind, whole))


def _reading_back(registry: Registry, kind: str, whole: Choice) -> str | None:
    # None is written by leaving the option out
    said_aloud = Choice(whole.name, {k: v for k, v in whole.options.items() if v is not None})
    written: dict[str, Callable[[], Choice]] = {
        f"{said_aloud} on a command line": lambda: Choice.parse(str(said_aloud)),
        f"{whole.plain()} in a file": lambda: Choice(**json.loads(json.dumps(whole.plain()))),
    }
    for place, read in written.items():
        try:
            again = registry.resolve(kind, read())
        except (BenchError, TypeError, ValueError) as refused:
            return f"{place}: {refused}"
        if isinstance(other := differ(again.options, whole.options), str):
            return f"{place}: {other}"
    return None


def calls(call: Call, plugin: Any, subject: Subject) -> Iterator[Finding]:
    """Whatever the contract of its kind promises of calls."""
    promises = {
        "device": _device,
        "shape": _shape,
        "dtype": _dtype,
        "repeats": _repeats,
        "rebuilt": _rebuilt,
        "global_state": _global_state,
        "arguments": _arguments,
        "alone": _alone,
    }
    for name, look in promises.items():
        if (clause := f"{subject.kind}.{name}") not in CLAUSES or (name == "alone" and not call.batch):
            continue
        if name != "device" or elsewhere(call.given(), torch.device("meta")):  # there are tensors to move
            found = look(call, plugin, subject)
            yield unseen(clause, found.why, call.of) if isinstance(found, _Unseen) else Finding(clause, found, call.of)


def seconds(call: Call, plugin: Any) -> float:
    """The median time of a call."""
    taken: list[float] = []
    while len(taken) < 7 and sum(taken) < 0.3:
        given = call.given()
        begun = time.perf_counter()
        call.ask(plugin, given)
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[len(taken) // 2]


def accelerator() -> torch.device | None:
    """The device beside the CPU, where there is one."""
    return torch.device("cuda") if torch.cuda.is_available() else None


@dataclass(frozen=True)
class _Unseen:
    why: str


def _shape(call: Call, plugin: Any, subject: Subject) -> str | None:
    answers = call.ask(plugin, call.given())
    for name, (shape, _) in call.expected.items():
        if (met := tuple(getattr(answers[name], "shape", ()))) != shape:
            return f"{name}: expected {shape}, met {met}"
    return None


def _dtype(call: Call, plugin: Any, subject: Subject) -> str | None:
    answers = call.ask(plugin, call.given())
    for name, (_, dtype) in call.expected.items():
        if (met := getattr(answers[name], "dtype", type(answers[name]))) != dtype:
            return f"{name}: expected {dtype}, met {met}"
    return None


def _repeats(call: Call, plugin: Any, subject: Subject) -> str | None:
    with states_kept():
        stir(1)
        first = call.ask(plugin, call.given())
        stir(2)
        return differ(first, call.ask(plugin, call.given()))


def _rebuilt(call: Call, plugin: Any, subject: Subject) -> str | None:
    with states_kept():
        stir(3)
        first = call.ask(subject.build(), call.given())
        stir(4)
        return differ(first, call.ask(subject.build(), call.given()))


def _global_state(call: Call, plugin: Any, subject: Subject) -> str | None:
    with states_kept() as touched:
        call.ask(subject.build(), call.given())
    return f"{', '.join(touched)} went on" if touched else None


def _arguments(call: Call, plugin: Any, subject: Subject) -> str | None:
    given = call.given()
    before = flat(given)
    call.ask(plugin, given)
    return differ(before, flat(given))


def _alone(call: Call, plugin: Any, subject: Subject) -> str | None:
    whole, row = call.ask(plugin, call.given()), call.batch // 2
    alone = call.ask(plugin, row_of(call.given(), row, call.batch))
    return differ(row_of(dict(whole), row, call.batch), dict(alone), call.near)


def _device(call: Call, plugin: Any, subject: Subject) -> str | _Unseen | None:
    if (device := accelerator()) is None:
        return _Unseen("no CUDA device is here")
    there = subject.build()
    there = there.to(device) if hasattr(there, "to") else there
    answers = call.ask(there, moved(call.given(), device))
    if off := elsewhere({name: answers[name] for name in call.expected or answers}, device):
        return f"asked on {device}, it answers on {off[0]}"
    return differ(dict(call.ask(plugin, call.given())), dict(answers), max(10 * call.near, 1e-3))

"""Requests written in YAML: read with `safe_load`, checked field by field, every mistake told with its place.

    train: {tasks: {ris: {dataset: tabletop, encoding: red_mask}}, model: tiny, weights: [uniform, perception_stats],
            aug: [none, linear], target: x0, seeds: 0..4, budget: standard}
    eval:  [{task: ris, dataset: tabletop, split: val, sampler: {ddim: {steps: 20}}, guidance: {image_text: {text: 3}}}]

Wherever a plugin is named, a list makes a grid, and options stand in a mapping or behind colons. Several tasks under
`train` are learnt together by one model, each with its `share` of the samples. Several entries under `eval` judge what
was trained once on several sets; one that names no task judges all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from addp_bench.errors import BadOption, BadRequest, unknown
from addp_bench.spec import Choice, Request, Wanted, parse_seeds, tidy

TRAIN_AXES = ("model", "weights", "aug", "exposure", "target", "noise", "objective")
EVAL_AXES = ("sampler", "guidance")
FIELDS = (
    "corruption",
    "seeds",
    "budget",
    "precision",
    "split",
    "protocol",
    "read_at",
    "tune_on",
    "sampling_seed",
    "ensemble",
    "train_split",
)  # of Request
NUMBERS: Mapping[str, Callable[[Any], Any]] = {
    "train_steps": int,
    "extra_steps": int,
    "batch_size": int,
    "train_samples": int,
    "warmup": int,
    "stats_samples": int,
    "lr": float,
    "ema": float,
}


def read(path: Path, changes: Mapping[str, Any], budget: str = "quick") -> list[Request]:
    """One request for each entry under `eval`.

    changes: fields of Request given on the command line, which win. budget: that of a file that names none.

    Raises BadRequest with every mistake of the file, each with its place.
    """
    try:
        written = yaml.safe_load(path.read_text())
    except OSError as missing:
        raise BadRequest([f"{path}: cannot be read: {missing.strerror}"]) from missing
    except yaml.YAMLError as broken:
        mark = getattr(broken, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise BadRequest([f"{path}{place}: is not YAML: {getattr(broken, 'problem', broken)}"]) from broken
    reader = _Reader(path, budget)
    requests = reader.requests(written, changes)
    if reader.problems:
        raise BadRequest(reader.problems)
    return requests


class _Reader:
    """Collects mistakes instead of stopping at the first."""

    def __init__(self, path: Path, budget: str) -> None:
        self.path, self.budget = path, budget
        self.problems: list[str] = []
        self.train: Mapping[str, Any] = {}

    def requests(self, written: Any, changes: Mapping[str, Any]) -> list[Request]:
        top = self.mapping(written, "", ("train", "eval"))
        train = self.mapping(
            top.get("train", {}),
            "train",
            ("tasks", "split", "corruption", "transform", "seeds", "budget", "precision", *TRAIN_AXES, *NUMBERS),
        )
        self.train = train
        tasks = self.mapping(train.get("tasks", {}), "train.tasks", None)
        parts = {
            name: self.mapping(part or {}, f"train.tasks.{name}", ("dataset", "encoding", "share"))
            for name, part in tasks.items()
        }
        if not parts:
            self.wrong("train.tasks", "names no task")
            return []
        axes = {kind: self.choices(train[kind], f"train.{kind}") for kind in TRAIN_AXES if kind in train}
        axes["task"] = list(parts)
        mixture: tuple[Wanted, ...] = ()
        alone: Mapping[str, Any] = {}  # what is said of a task that is trained alone
        if len(parts) > 1:
            mixture = tuple(self.wanted(name, part) for name, part in parts.items())
        else:
            ((task, alone),) = parts.items()
            if "share" in alone:
                self.wrong(f"train.tasks.{task}.share", "means something where several tasks are trained together")
            axes |= {kind: self.choices(alone[kind], f"train.tasks.{task}.{kind}") for kind in alone if kind != "share"}
        numbers = {
            name: self.checked(f"train.{name}", functools.partial(number, train[name]))
            for name, number in NUMBERS.items()
            if name in train
        }
        seeds = train.get("seeds", 0)
        common = {
            **{kind: [str(c) for c in _several(train.get(kind, []))] for kind in ("corruption", "transform")},
            "seeds": self.checked("train.seeds", functools.partial(parse_seeds, [str(s) for s in _several(seeds)]))
            or (0,),
            "budget": str(train.get("budget", self.budget)),
            "precision": str(train.get("precision", "fp32")),
            "train_split": None if train.get("split") is None else str(train["split"]),
            "mixture": mixture,
        }
        judged = top.get("eval") or [{}]
        if not isinstance(judged, list):
            self.wrong("eval", "must be a list, one entry for each set that is judged")
            return []
        return [self.judged(entry, f"eval[{i}]", axes, numbers, common, changes) for i, entry in enumerate(judged)]

    def judged(
        self,
        written: Any,
        place: str,
        axes: Mapping[str, list[str]],
        numbers: Mapping[str, Any],
        common: Mapping[str, Any],
        changes: Mapping[str, Any],
    ) -> Request:
        known = (
            "task",
            "dataset",
            "split",
            "protocol",
            "limit",
            "steps",
            "read_at",
            "tune_on",
            "sampling_seed",
            "ensemble",
            *EVAL_AXES,
        )
        entry = self.mapping(written, place, known)
        mine = {kind: self.choices(entry[kind], f"{place}.{kind}") for kind in EVAL_AXES if kind in entry}
        if entry.get("task", axes["task"][0]) not in axes["task"]:
            self.wrong(f"{place}.task", f"is {entry['task']}, but {' and '.join(axes['task'])} is trained")
        elif "task" in entry:
            mine["task"] = [str(entry["task"])]
        steps = entry.get("steps")
        for text in mine.get("sampler", []):
            if "steps" in (sampler := Choice.parse(text)).options:  # written beside the sampler, it is the evaluation's
                steps = sampler.options["steps"]
        mine["sampler"] = [_without_steps(text) for text in mine.get("sampler", [])]
        trained_on = None
        datasets = axes.get("dataset", [])
        if "dataset" in entry:
            mine["dataset"] = self.choices(entry["dataset"], f"{place}.dataset")
            if datasets and mine["dataset"] != datasets:
                if len(datasets) > 1:
                    self.wrong(f"{place}.dataset", "cannot differ from several datasets that are trained on")
                trained_on = datasets[0]
        overrides = {
            **numbers,
            "sampling_steps": self.checked(f"{place}.steps", lambda: None if steps is None else int(steps)),
            "limit": self.checked(
                f"{place}.limit", lambda: None if entry.get("limit") is None else int(entry["limit"])
            ),
        }
        given = dict(changes)
        trained = {"train_split" if name == "split" else name for name in self.train}
        said = frozenset(FIELDS).intersection([*trained, *entry]) | ({"trained_on"} if trained_on else set())
        fields = {
            **common,
            "axes": {**axes, **{k: v for k, v in mine.items() if v}, **given.pop("axes", {})},
            "overrides": {**overrides, **given.pop("overrides", {})},
            "split": entry.get("split"),
            "protocol": entry.get("protocol"),
            "read_at": str(entry.get("read_at", "final")),
            "tune_on": entry.get("tune_on"),
            "sampling_seed": self.checked(f"{place}.sampling_seed", lambda: int(entry.get("sampling_seed", 0))),
            "ensemble": self.checked(
                f"{place}.ensemble", lambda: None if entry.get("ensemble") is None else int(entry["ensemble"])
            ),
            "trained_on": trained_on,
            "given": said | given.pop("given", frozenset()),
        }
        return Request(**{**fields, **given})

    def wanted(self, name: str, part: Mapping[str, Any]) -> Wanted:
        """One task of a mixture; a list makes no grid here."""
        place = f"train.tasks.{name}"
        said = {kind: self.choices(part[kind], f"{place}.{kind}") for kind in ("dataset", "encoding") if kind in part}
        for kind, several in said.items():
            if len(several) != 1:
                self.wrong(f"{place}.{kind}", f"names {len(several)}; a task of a mixture has one")
        share = part.get("share")
        return Wanted(
            tidy(name),
            self.checked(f"{place}.share", lambda: None if share is None else float(share)),
            **{kind: several[0] for kind, several in said.items() if several},
        )

    def mapping(self, written: Any, place: str, known: tuple[str, ...] | None) -> dict[str, Any]:
        if not isinstance(written, Mapping):
            self.wrong(place, f"must be a mapping, met {type(written).__name__}")
            return {}
        if known is not None:
            for name in written:
                if name not in known:
                    self.wrong(place, str(unknown("field", str(name), known)))
        return {str(k): v for k, v in written.items()}

    def choices(self, written: Any, place: str) -> list[str]:
        """`p2`, `p2:k=1`, {p2: {k: 1}}, or a list of these -> as on the command line."""
        found = []
        for one in _several(written):
            if isinstance(one, Mapping):
                for name, options in one.items():
                    if not isinstance(options or {}, Mapping):
                        self.wrong(f"{place}.{name}", f"options must be a mapping, met {options!r}")
                        continue
                    found.append(str(Choice(tidy(str(name)), {str(k): v for k, v in (options or {}).items()})))
            else:
                found.append(str(one).lower() if one is None else str(one))
        return found

    def checked(self, place: str, value: Callable[[], Any]) -> Any:
        try:
            return value()
        except (TypeError, ValueError, BadOption) as wrong:
            self.wrong(place, str(wrong))
            return None

    def wrong(self, place: str, what: str) -> None:
        self.problems.append(f"{self.path}{': ' + place if place else ''}: {what}")


def _several(written: Any) -> list[Any]:
    return list(written) if isinstance(written, list) else [written]


def _without_steps(text: str) -> str:
    choice = Choice.parse(text)
    return str(Choice(choice.name, {k: v for k, v in choice.options.items() if k != "steps"}))

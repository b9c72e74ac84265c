"""One exception for each mistake a person can make.

Every message holds what was met, what was expected and a way on. `exit_code` is what the command line returns.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence


class BenchError(Exception):
    """Anything that is the user's to mend; shown as one line, without a traceback."""

    exit_code = 2


class UnknownName(BenchError):
    """A plugin, an option, a split or a field that does not exist."""


class BadOption(BenchError):
    """An option whose value has the wrong type or range."""


class BadRequest(BenchError):
    """A request (flags or file) that cannot be carried out; holds every mistake found, each with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class BadPlugin(BenchError):
    """A plugin that breaks its contract or takes a name that is taken."""


class PluginNotice(DeprecationWarning):
    """Something for the author of a plugin, who meets it in tests; Python keeps such warnings from everyone else."""


class PluginDeprecation(PluginNotice):
    """A plugin uses what a later version of the plugin API will no longer serve."""


class BadData(BenchError):
    """Files of a dataset that are missing, damaged or not what their layout says."""


class BadBundle(BadData):
    """A file of packed records that is damaged, unsafe to unpack, or holds something else."""

    exit_code = 3


class BadModel(BenchError):
    """A model folder that is incomplete or does not fit."""


class BadPrediction(BenchError):
    """A model answered with something that cannot be scored (NaN, another size); names the sample."""

    exit_code = 3


class Degenerate(BenchError):
    """Statistics that cannot be estimated from what was measured."""

    exit_code = 3


class StorageProblem(BenchError):
    """The runs or cache folder cannot be written, or the disk is full."""


class NothingSelected(BenchError):
    """A selection that matches no record."""

    exit_code = 4


class Incomparable(BenchError):
    """Cells that were not judged alike, so that their difference would mean nothing; names what differs."""

    exit_code = 4


def unknown(what: str, name: str, known: Iterable[str], note: str = "") -> UnknownName:
    """An UnknownName that suggests the nearest of `known` and lists them all; `note` is appended as it is."""
    names = sorted(known)
    listing = f" Known: {', '.join(names)}." if names else " None is known."
    return UnknownName(f"no {what} is called {name!r}.{nearest(name, names)}{listing}{' ' + note if note else ''}")


def nearest(name: str, known: Iterable[str]) -> str:
    """A question to append, " Did you mean 'gamma'?"; "" where nothing known is near."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def set_aside(failures: Mapping[str, str]) -> str:
    """A note for whoever asks for a name that may have been lost with a plugin module; "" where none was."""
    if not failures:
        return ""
    if len(failures) > 3:
        return f"Set aside at loading: {', '.join(failures)}; `addp-bench list` says why."
    return "Set aside at loading: " + "; ".join(f"{module}: {why}" for module, why in failures.items())

"""What long work says while it runs: a bar with the time left on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

LINE_SECONDS = 5.0


class Progress:
    """Speaks on stderr. quiet: only `say` is heard. lines: no bars, because others speak there too."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None, lines: bool = False) -> None:
        self.stream = stream or sys.stderr
        self.quiet, self.lines = quiet, lines

    def say(self, words: str) -> None:
        """One line, cleaned by `printable`."""
        print(printable(words), file=self.stream, flush=True)

    @contextmanager
    def bar(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """A function (done, total) to call as the work goes on; it may be called as often as is convenient."""
        what = printable(what)
        if self.quiet:
            yield lambda done, total: None
        elif self.stream.isatty() and not self.lines:
            with self._terminal(what) as tell:
                yield tell
        else:
            yield self._lines(what)

    @contextmanager
    def _terminal(self, what: str) -> Iterator[Callable[[int, int], None]]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=Console(file=self.stream)) as bars:
            task = bars.add_task(what, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)

    def _lines(self, what: str) -> Callable[[int, int], None]:
        begun = spoken = time.monotonic()
        before: int | None = None

        def tell(done: int, total: int) -> None:
            nonlocal spoken, before
            if before is None:
                before = done  # what an earlier attempt had done says nothing of the speed of this one
            now = time.monotonic()
            if now - spoken >= LINE_SECONDS and done < total:
                spoken = now
                rate = (done - before) / (now - begun)
                left = f", {duration((total - done) / rate)} left" if rate > 0 else ""
                self.say(f"  {what} {done}/{total}{left}")

        return tell


def printable(words: str) -> str:
    """Words without what could steer a terminal; line ends stay.

    Names and values met in data are part of what we say, and nobody vouches for them.
    """
    return "".join(c for c in words if c == "\n" or c.isprintable())


def size(count: float) -> str:
    """Bytes for people: `820 kB`, `35 MB`, `3.4 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.2g} {unit}" if count < 10 * factor else f"{count / factor:.0f} {unit}"
    return f"{count / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """For people: `8 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"

"""The leaderboard as a page: where its pictures come from, and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addp_bench import page
from addp_bench.cli.options import say
from addp_bench.errors import StorageProblem
from addp_bench.progress import Progress, size
from addp_bench.records import Record
from addp_bench.results.rendering import Table

if TYPE_CHECKING:
    from addp_bench.loading import Loaded


def made(table: Table, records: Sequence[Record], samples: int | None, runs: Path, load: Callable[[], Loaded]) -> str:
    """The page. samples: of each cell, None for as many as a page has by itself; of none nothing is loaded."""
    count = page.SAMPLES if samples is None else samples
    if not count:
        return page.page(table, records, count)
    cells = len({cell for section in table.sections for row in section.rows for cell in row["cells"]})
    with Progress().bar("pictures of cells") as tell:
        return page.page(table, records, count, _pictured(runs, load, lambda done: tell(done, cells)))


def write(text: str, file: Path) -> None:
    """Write the page and say how large it is. Raises StorageProblem."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise StorageProblem(f"{file} cannot be written ({problem.strerror}); name another --out FILE") from problem
    say(f"written into {file} ({size(file.stat().st_size)}); it opens in any browser", err=True)


def _pictured(runs: Path, load: Callable[[], Loaded], tell: Callable[[int], None]) -> page.Pictured:
    """What gives the pictures of a record. Plugins and networks are loaded when the first is wanted, once."""

    @cache
    def bench() -> Any:
        from addp_bench.run import Bench

        loaded = load()
        return Bench(loaded.registry, loaded.hooks, runs.absolute())

    done = 0

    def pictured(record: Record, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        nonlocal done
        from addp_bench.page.pictures import of_cell

        done += 1
        tell(done)
        return of_cell(record, bench(), ids)

    return pictured

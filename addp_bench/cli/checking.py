"""check: measure whether a dataset keeps its promises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from addp_bench.cli.options import answer, json_option, load_plugins, plugin_options

FAILED = 3  # exit code: some of what was measured is not as promised


@click.command()
@click.argument("what", type=click.Choice(["data"]))
@click.argument("name", metavar="NAME[:OPTION=VALUE...]")
@json_option
@plugin_options
def check(
    what: str, name: str, json: bool, plugin: Sequence[Path], no_plugin: Sequence[str], strict_plugins: bool
) -> int:
    """Measure what a dataset promises of itself, each measurement beside what is expected.

    Exit code 3 when a promise is broken.

    \b
    Example:
      addp-bench check data tabletop
    """
    from addp_bench.errors import BadOption

    registry = load_plugins(plugin, no_plugin, strict_plugins).registry
    dataset = registry.build("dataset", name)
    if not hasattr(dataset, "check"):
        raise BadOption(f"dataset {name} promises nothing that can be measured: its class has no method check()")
    measured = [(str(w), value, str(expected), bool(ok)) for w, value, expected, ok in dataset.check()]
    if json:
        answer([{"what": w, "value": _plain(v), "expected": e, "ok": ok} for w, v, e, ok in measured])
    else:
        click.echo(_table(measured))
    return 0 if all(ok for *_, ok in measured) else FAILED


def _table(measured: Sequence[tuple[str, Any, str, bool]]) -> str:
    from tabulate import tabulate

    rows = [[w, _said(v), e, "ok" if ok else "FAILED"] for w, v, e, ok in measured]
    return tabulate(rows, headers=["what", "measured", "expected", ""], tablefmt="simple", disable_numparse=True)


def _said(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """A measurement as JSON can hold it; numpy's numbers become Python's, what has no value becomes null."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)

"""How long the command line takes to say what it is asked, as whole processes with many plugins installed.

    python benchmarks/startup.py [--plugins 20] [--repeats 15]

Distributions of third parties, each of a module with three plugins, are made in a temporary folder that is put on
PYTHONPATH; the catalogue is made there too. `list, cold` makes it, once; everything else finds it. The bare interpreter
and click, which parses the command line, stand beside it for scale.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PLUGIN = '''"""Weights of a third party."""

from dataclasses import dataclass

from addp_bench.hookspecs import hookimpl

requires_api = "1.0"


@dataclass(frozen=True)
class Band:
    """One band of timesteps (Somebody et al., 2024).

    first: cleanest timestep of the band. last: noisiest timestep of the band, which it includes.
    """

    first: int = 800
    last: int = 999


@hookimpl
def addp_bench_register(registry):
    for kind in ("weights", "agent", "aug"):
        registry.add(kind, "acme_{n}", Band)
'''
ASKED = {
    "--help": ["--help"],
    "list": ["list"],
    "list --json": ["list", "--json"],
    "show weights min_snr": ["show", "weights", "min_snr"],
    "leaderboard --help": ["leaderboard", "--help"],
}


def install(site: Path, count: int) -> None:
    """Distributions acme-0, acme-1, ... as pip would leave them."""
    for n in range(count):
        info = site / f"acme_{n}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{n}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[addp_bench]\nacme_{n} = acme_{n}.band\n")
        (site / f"acme_{n}").mkdir()
        (site / f"acme_{n}" / "__init__.py").write_text("")
        (site / f"acme_{n}" / "band.py").write_text(PLUGIN.replace("{n}", str(n)))


def seconds(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Wall time of one process, and the processor time it took: on a machine with nothing else to do they agree."""
    begun, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *command], env=environment, capture_output=True, check=True)
    after = os.times()
    return time.perf_counter() - begun, sum(after[2:4]) - sum(before[2:4])


def told(what: str, taken: Sequence[tuple[float, float]]) -> str:
    """A line of the answer."""
    wall, processor = (statistics.median(times) for times in zip(*taken))
    least, most = min(taken)[0], max(taken)[0]
    return f"{what}: {wall:.3f} s ({least:.3f} to {most:.3f}), of the processor {processor:.3f} s"


def main() -> None:
    """Measure, and say it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        install(site, given.plugins)
        path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "ADDP_HOME": str(Path(folder) / "home")}
        cold = seconds(["-m", "addp_bench", "list"], environment)
        print(f"{given.plugins} distributions of third parties; median, least and most of {given.repeats} processes")
        print(told("addp-bench list, cold", [cold]))
        commands = {"python -c pass": ["-c", "pass"], "python -c 'import click'": ["-c", "import click"]}
        commands |= {f"addp-bench {what}": ["-m", "addp_bench", *words] for what, words in ASKED.items()}
        for what, command in commands.items():
            print(told(what, [seconds(command, environment) for _ in range(given.repeats)]))
        environment |= {"_ADDP_BENCH_COMPLETE": "bash", "COMP_LINE": "addp-bench run --weights per"}
        print(told("a word completed", [seconds(["-m", "addp_bench"], environment) for _ in range(given.repeats)]))


if __name__ == "__main__":
    main()

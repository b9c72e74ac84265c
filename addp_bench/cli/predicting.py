"""predict: the command that lets a trained cell answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from addp_bench.cli.options import plugin_options, say
from addp_bench.cli.running import find_device, make_bench, place_options
from addp_bench.errors import BadOption


@click.command()
@click.option("--cell", required=True, help="Id of a finished cell, or the beginning of it.")
@click.option("--image", required=True, type=click.Path(path_type=Path), help="A photograph.")
@click.option("--text", default="", help="Words that say what is asked for.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The drawn answer, as PNG; several side by side.",
)
@click.option(
    "--answer",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What is read from it, as the task writes it: a mask as PNG, a depth map as .npy, ...",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the noise it starts from.")
@place_options
@plugin_options
def predict(**given: Any) -> None:
    """Let a trained cell answer for a photograph of yours.

    \b
    Example:
      addp-bench predict --cell 1a2b3c --image desk.png --text "the blue cone" --out answer.png
    """
    import numpy as np
    from PIL import Image

    from addp_bench import records
    from addp_bench.reopen import Reopened, read_photo

    photo = read_photo(given["image"])
    bench = make_bench(given, find_device(given["device"]))
    record = records.find(records.load_all(bench.runs.root).records, given["cell"])
    reopened, file = Reopened(record, bench), given["answer"]
    task = bench.work.build("task", reopened.cell)
    if file is not None and file.suffix != (suffix := getattr(task, "suffix", None)):
        raise BadOption(f"--answer {file}: task {reopened.cell.name('task')} writes {suffix or 'no'} files")
    drawing, prediction = reopened.answer(photo, given["text"], given["seed"])
    given["out"].parent.mkdir(parents=True, exist_ok=True)
    side = [Image.fromarray(one).resize(photo.shape[1::-1], Image.Resampling.BILINEAR) for one in drawing]
    Image.fromarray(np.concatenate([np.asarray(one) for one in side], 1)).save(given["out"], "PNG")
    say(f"drawn into {given['out']}")
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        samples, _ = bench.work.samples(reopened.cell, "eval", None)
        task.write(prediction, file, *([ids] if (ids := getattr(samples, "category_ids", ())) else []))
        say(f"answered in {file}")

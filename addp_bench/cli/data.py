"""data: which datasets there are, under which terms, where yours lie, and whether they are whole. Downloads nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addp_bench.cli.options import answer, json_option, load_plugins, plugin_options, say, say_failures, table

if TYPE_CHECKING:
    from addp_bench.catalogue import Plugin

FAILED = 3  # exit code: some of what was looked at is not as published

Finding = tuple[str, Any, str, bool]  # what, measured, expected, kept


@click.group()
def data() -> None:
    """Datasets: their terms, and where yours lie. Nothing is ever downloaded.

    \b
    Examples:
      addp-bench data list
      addp-bench data adopt nyuv2 /data/nyuv2
      addp-bench data verify nyuv2
    """


@data.command("list")
@json_option
@plugin_options
def list_(json: bool, plugin: Sequence[Path], no_plugin: Sequence[str], strict_plugins: bool) -> None:
    """Every dataset: what it is, its size and terms, how to get it, and whether it is here."""
    known = [_told(found) for found in _datasets(plugin, no_plugin, strict_plugins)]
    if json:
        answer(known)
        return
    say(
        "\n\n".join(
            f"{one['name']}  {one['what']}\n{_lines(one, ('size', 'licence', 'access', 'here'))}" for one in known
        )
    )


@data.command("license")
@click.argument("name")
@json_option
@plugin_options
def license_(name: str, json: bool, plugin: Sequence[Path], no_plugin: Sequence[str], strict_plugins: bool) -> None:
    """The terms of a dataset, whom to cite, and how to get it."""
    from addp_bench.catalogue import read

    catalogue = read(lambda words: say(words, err=True), plugin, no_plugin, strict_plugins)
    one = _told(catalogue.get("dataset", name))
    if json:
        answer(one)
        return
    facts = _lines(one, ("licence", "citation", "access", "size", "published", "archives"))
    say(f"{one['name']}  {one['what']}\n{facts}")


@data.command()
@click.argument("name", metavar="NAME[:OPTION=VALUE...]")
@click.option("--each", type=click.IntRange(1), default=3, show_default=True, help="Samples of each split to open.")
@json_option
@plugin_options
def verify(
    name: str, each: int, json: bool, plugin: Sequence[Path], no_plugin: Sequence[str], strict_plugins: bool
) -> int:
    """Count a dataset that is here, open samples of every split, and compare checksums of archives beside it.

    Exit code 3 when something is not as published.
    """
    from addp_bench.spec import Choice

    registry = load_plugins(plugin, no_plugin, strict_plugins).registry
    choice = registry.resolve("dataset", Choice.parse(name))
    findings, absent = _verified(registry.build("dataset", choice), choice.options.get("path"), each)
    if json:
        answer(_as_json(choice, findings, absent))
    else:
        _say_findings(findings, absent)
    return 0 if all(kept for *_, kept in findings) else FAILED


@data.command()
@click.argument("name", metavar="NAME[:OPTION=VALUE...]")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--each", type=click.IntRange(1), default=1, show_default=True, help="Samples of each split to open.")
@json_option
@plugin_options
def adopt(
    name: str, path: Path, each: int, json: bool, plugin: Sequence[Path], no_plugin: Sequence[str], strict_plugins: bool
) -> int:
    """Look through the dataset that lies at PATH, and remember the place, so that `--dataset NAME` finds it.

    PATH is what the dataset's option `path` takes. A place whose files cannot be read is not remembered (exit code 3);
    one with other counts than the published ones is, and that is told. Options after NAME say how to look; they are
    not remembered.
    """
    from addp_bench import adopted
    from addp_bench.errors import BadOption
    from addp_bench.spec import Choice

    registry = load_plugins(plugin, no_plugin, strict_plugins).registry
    asked = Choice.parse(name)
    entry = registry.get("dataset", asked.name)
    if not any(option.name == "path" for option in entry.options):
        raise BadOption(f"dataset {entry.name} has no option path: there is no place of it to remember")
    choice = registry.resolve("dataset", Choice(entry.name, {**asked.options, "path": str(path.absolute())}))
    findings, absent = _verified(registry.build("dataset", choice), str(path), each)
    readable = all(kept for what, *_, kept in findings if not what.startswith(COUNT))
    if readable:
        adopted.adopt(entry.name, path)
    if json:
        answer({**_as_json(choice, findings, absent), "adopted": readable})
    else:
        _say_findings(findings, absent)
        if readable:
            say(f"\n{entry.name} is {path.absolute()} from now on; `--dataset {entry.name}` finds it there")
        else:
            say(f"\nnot remembered: {entry.name} at {path.absolute()} cannot be read as it should")
    return 0 if readable else FAILED


# ------------------------------------------------------------------------------------------------ in words


def _datasets(plugin: Sequence[Path], no_plugin: Sequence[str], strict_plugins: bool) -> Sequence[Plugin]:
    from addp_bench.catalogue import read

    catalogue = read(lambda words: say(words, err=True), plugin, no_plugin, strict_plugins)
    say_failures(catalogue.failures)
    return catalogue.of("dataset")


def _told(dataset: Plugin) -> dict[str, Any]:
    """What is known of a dataset, and where it is: plain values."""
    from addp_bench import adopted

    place = adopted.places().get(dataset.name)
    needed = any(option["name"] == "path" and option["required"] for option in dataset.options)
    if place is not None:
        here = place if Path(place).exists() else f"no longer: nothing is at {place}"
    else:
        here = f"no; addp-bench data adopt {dataset.name} PATH" if needed else "made when it is asked for"
    return {
        "name": dataset.name,
        "what": dataset.summary,
        "size": "not stated",
        "licence": "not stated",
        "access": "not stated",
        **{name: value for name, value in dataset.about.items() if value},
        "here": here,
        "path": place,
    }


def _lines(one: Mapping[str, Any], names: Sequence[str]) -> str:
    """Some of its facts, one to a line."""
    said = {name: one[name] for name in names if one.get(name)}
    words = {k: ", ".join(f"{a} {b}" for a, b in v.items()) if isinstance(v, dict) else v for k, v in said.items()}
    return "\n".join(f"  {name:<10}{text}" for name, text in words.items())


def _as_json(choice: Any, findings: Sequence[Finding], absent: Sequence[str]) -> dict[str, Any]:
    rows = [{"what": w, "found": found, "expected": e, "ok": ok} for w, found, e, ok in findings]
    return {"dataset": choice.plain(), "findings": rows, "absent": list(absent)}


def _say_findings(findings: Sequence[Finding], absent: Sequence[str]) -> None:
    say(table(findings))
    if absent:
        say(f"\nnot here: {', '.join(absent)}")


# ------------------------------------------------------------------------------------------------ looking

COUNT = "samples of "


def _verified(dataset: Any, path: str | None, each: int) -> tuple[list[Finding], list[str]]:
    """What was found, and the splits of which nothing is here. Raises BadData when nothing at all is."""
    counts = dataset.card().counts
    about = getattr(dataset, "about", None)
    findings = [finding for split in counts for finding in _split(dataset, split, about, each)]
    if about is not None and path is not None:
        folder = Path(path).expanduser()
        findings += _archives(folder if folder.is_dir() else folder.parent, about.archives)
    return findings, [split for split in dataset.splits() if split not in counts]


def _split(dataset: Any, split: str, about: Any, each: int) -> Iterator[Finding]:
    """Its count beside the published one, and whether some of its samples can be read."""
    from addp_bench.errors import BadData

    task = dataset.tasks[0]
    try:
        samples = dataset.samples(split, task)
    except BadData as broken:
        yield f"files of {split}", str(broken), "all there", False
        return
    published = about.published.get(split) if about is not None else None
    expected = "not published" if published is None else f"{published}"
    yield f"{COUNT}{split}", len(samples), expected, published in (None, len(samples))
    last = len(samples) - 1
    chosen = {round(k * last / max(each - 1, 1)) for k in range(each)}  # evenly, the first and the last too
    for index in sorted(chosen) if len(samples) else ():
        try:
            sample = samples[index]
        except BadData as broken:
            yield f"sample {index} of {split}", str(broken), "readable", False
        else:
            height, width = sample.image.shape[:2]
            yield f"sample {index} of {split}", f"{sample.id}, {width} x {height}", "readable", True


def _archives(folder: Path, known: Mapping[str, str]) -> Iterator[Finding]:
    """Archives that were downloaded and kept."""
    for name, expected in known.items():
        if (file := folder / name).is_file():
            total = hashlib.md5(usedforsecurity=False)  # what its owners publish
            with file.open("rb") as stream:
                for block in iter(lambda: stream.read(1 << 20), b""):
                    total.update(block)
            found = total.hexdigest()
            yield f"MD5 of {name}", found, expected, found == expected

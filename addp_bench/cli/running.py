"""run: the command that computes; and what every command that takes a request shares."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from addp_bench.cli.options import answer, json_option, load_plugins, plugin_options, say
from addp_bench.errors import BadOption, BadPlugin, BadRequest, BenchError, NothingSelected
from addp_bench.spec import Request, parse_mixture, parse_seeds

if TYPE_CHECKING:
    from addp_bench.run import Bench, Finished
    from addp_bench.stages import Plan

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_AXES = {
    "task": "What is asked.",
    "dataset": "Where samples come from; a real one needs path=FOLDER.",
    "model": "What is trained and judged.",
    "weights": "Which timesteps are trained.",
    "aug": "How strongly targets are corrupted at each timestep.",
    "encoding": "How the answer is drawn.",
    "target": "What the network outputs; the model's own, and x0 where targets are corrupted.",
    "exposure": "Cure for exposure bias.",
    "noise": "Noise schedule; the model's own.",
    "objective": "Loss of a batch.",
    "sampler": "From noise to an answer.",
    "guidance": "Conditionings and their weights; the model's own.",
}
_BUDGET = {
    "train_steps": "Optimiser steps.",
    "extra_steps": "Steps beyond the budget's, for compute that others spent elsewhere.",
    "batch_size": "Samples of a step.",
    "train_samples": "Training samples used.",
    "warmup": "Steps of linear rise of the learning rate.",
    "stats_samples": "Samples on which perception statistics are measured.",
}


def request_options(command: F) -> F:
    """Everything a request is made of: the axes, the budget, the seeds."""
    options = [
        *(
            click.option(f"--{kind}", multiple=True, metavar="NAME[:OPTION=VALUE...]", help=words)
            for kind, words in _AXES.items()
        ),
        click.option(
            "--train",
            metavar="TASK=SHARE+...",
            help="Tasks that one model learns together, each judged unless --task names some; the judged one alone.",
        ),
        click.option(
            "--corruption",
            multiple=True,
            metavar="A+B+...",
            help="What an augmentation does; the task's own set unless given.",
        ),
        click.option(
            "--transform",
            multiple=True,
            metavar="A+B+...",
            help="What is done to photographs and truths alike before they are trained on; nothing unless given.",
        ),
        click.option("--seed", "--seeds", "seed", multiple=True, metavar="N|A..B", help="Training seeds; 0..4 has 4."),
        click.option("--sampling-seed", type=click.IntRange(0), help="Of the evaluation; 0."),
        click.option("--ensemble", type=click.IntRange(1), help="Answers to each question that are made one; 1."),
        click.option(
            "--budget",
            help="How much a cell may spend: quick, standard or paper; quick, and standard where cuda computes.",
        ),
        *(
            click.option(f"--{name.replace('_', '-')}", type=click.IntRange(0 if name == "warmup" else 1), help=words)
            for name, words in _BUDGET.items()
        ),
        click.option("--lr", type=click.FloatRange(0, min_open=True), help="Peak learning rate."),
        click.option("--ema", type=click.FloatRange(0, 1), help="Decay of the averaged weights that are judged."),
        click.option("--steps", type=click.IntRange(1), help="Sampling steps of the evaluation."),
        click.option("--limit", type=click.IntRange(1), help="Evaluation samples, from the first on."),
        click.option("--split", help="Split to judge on; the dataset's own (val)."),
        click.option("--train-split", help="Split to train on; the dataset's own."),
        click.option(
            "--protocol",
            help="How answers are judged; the dataset's own. A card (marigold) also says split, steps and ensemble.",
        ),
        click.option(
            "--read-at",
            help="The timestep that is read: final (default), t=NNN, or best_on_stats (chosen on the stats split).",
        ),
        click.option(
            "--tune-on",
            metavar="SPLIT",
            help="Choose the encoding's threshold on this split (stats), never the judged one; it is not chosen.",
        ),
        click.option("--precision", type=click.Choice(["fp32", "bf16"]), help="Of the network; fp32."),
        click.option("--force", is_flag=True, help="Also run what is refused as senseless."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def place_options(command: F) -> F:
    """Where and with what it is computed; nothing here changes a result beyond rounding."""
    options = [
        click.option(
            "--runs",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("runs"),
            show_default=True,
            help="Folder of results.",
        ),
        click.option("--device", help="cpu, cuda, cuda:1, ...; an accelerator where there is one."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("spec", required=False, type=click.Path(path_type=Path, dir_okay=False))
@request_options
@place_options
@click.option("--eval-batch", type=click.IntRange(1, 64), default=64, show_default=True, help="Answers drawn at once.")
@click.option(
    "--on-error",
    type=click.Choice(["continue", "stop"]),
    default="continue",
    show_default=True,
    help="After a cell failed: go on with the others, or begin nothing more.",
)
@click.option(
    "--executor",
    default="local",
    show_default=True,
    metavar="NAME[:OPTION=VALUE...]",
    help="Where cells run; local:workers=2 computes two at once.",
)
@click.option("--track", multiple=True, metavar="NAME[:OPTION=VALUE...]", help="Show runs in tensorboard, wandb, ...")
@json_option
@plugin_options
def run(**given: Any) -> int:
    """Train and judge every combination that is asked for; what was done before is not done again.

    A flag given twice, or `all`, makes a grid. SPEC is a YAML file that says the same; flags win over it.

    \b
    Examples:
      addp-bench run --task ris --weights perception_stats --aug linear
      addp-bench run --task ris --weights uniform --weights perception_stats --aug none --aug linear --seeds 0..2
      addp-bench run --task ris --dataset refcoco:path=DIR --model instruct_pix2pix:path=DIR --budget standard
    """
    return carry_out(given)


def carry_out(given: Mapping[str, Any]) -> int:
    """Run what the options of `run` ask for; the exit code."""
    bench, plans, impossible = prepare(given)
    progress = bench.progress
    for what, why in impossible:
        progress.say(f"impossible: {what}: {why}")
    if not plans and impossible:
        raise BadOption("every combination that was asked for is impossible; the reasons are above")
    if not plans:
        raise NothingSelected("a plugin dropped every cell that was asked for (its hook addp_bench_cells)")
    new = [plan for plan in plans if not bench.done(plan)]
    if not new:
        progress.say(f"nothing to do: {_count(len(plans), 'cell')} already done")
    else:
        progress.say(
            f"{_count(len(plans), 'cell')}, {len(plans) - len(new)} done; computing on {bench.device}, "
            f"results in {bench.runs.root}"
        )
    executor = bench.registry.build("executor", given["executor"])
    with tracked(bench, given["track"]):
        finished = bench.run(plans, executor, stop=given["on_error"] == "stop")
    _after(finished, plans, given, bench, as_json=given["json"])
    return 3 if finished.failures else 0


@contextmanager
def tracked(bench: Bench, trackers: Sequence[str]) -> Iterator[None]:
    """Let these trackers follow what the bench does. Raises UnknownName or BadOption before anything is done."""
    from addp_bench.tracking import Tracking

    say = bench.progress.say
    following = [Tracking(text, bench.registry.build("tracker", text), say) for text in trackers]
    for one in following:
        bench.hooks.register(one)
        bench.followers.append(one)
    try:
        yield
    finally:
        for one in following:
            one.close()
            bench.hooks.unregister(one)
            bench.followers.remove(one)


def make_bench(given: Mapping[str, Any], device: str) -> Bench:
    """Plugins and runs folder as the options say. device: where it computes."""
    loaded = load_plugins(given["plugin"], given["no_plugin"], given["strict_plugins"])
    from addp_bench.progress import Progress
    from addp_bench.run import Bench

    return Bench(
        loaded.registry,
        loaded.hooks,
        given["runs"].absolute(),
        device=device,
        batch=given.get("eval_batch", 64),
        progress=Progress(),
        given={name: str(value) for name, value in given.items() if _written(name)},
        plugins=[Path(file).absolute() for file in given["plugin"]],
        blocked=given["no_plugin"],
    )


def _written(parameter: str) -> bool:
    """Whether a parameter of the running command came from the command line or the environment."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source in (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)


def prepare(given: Mapping[str, Any]) -> tuple[Bench, list[Plan], list[tuple[str, str]]]:
    """Where to compute, the planned cells, and the impossible ones with their reasons; warnings are said on stderr.

    given: the options of `run`.
    """
    device = find_device(given["device"])
    problems: list[str] = []
    requests = _requests(given, "standard" if device.startswith("cuda") else "quick", problems)
    bench = make_bench(given, device)
    for kind, flag in (("executor", "executor"), ("tracker", "track")):  # no cell is made of these
        written = given.get(flag) or ()
        problems += bench.registry.mistakes(kind, [written] if isinstance(written, str) else written)
    from addp_bench.cards import Cards
    from addp_bench.legality import Illegal
    from addp_bench.resolve import resolve
    from addp_bench.stages import Planner

    cards = Cards(bench.registry)
    found = []
    for request in requests:
        try:
            found.append(resolve(request, bench.registry, cards))
        except BadRequest as wrong:
            problems += wrong.problems
    if problems:
        raise BadRequest(list(dict.fromkeys(problems)))
    cells = [cell for resolution in found for cell in resolution.cells]
    try:
        bench.hooks.hook.addp_bench_cells(cells=cells)
    except Exception as wrong:
        raise BadPlugin(
            f"a plugin's hook addp_bench_cells raised {type(wrong).__name__}: {wrong}. Leave the plugin out with "
            "--no-plugin NAME (`addp-bench list` says where each comes from), or mend it"
        ) from wrong
    planner = Planner(bench.registry, bench.runs.root, cards)
    plans: dict[str, Plan] = {}
    impossible = [pair for resolution in found for pair in resolution.impossible]
    for cell in cells:
        try:
            one = planner.plan(cell)
            plans[one.key] = one
        except Illegal as reason:
            impossible.append((cell.describe(), str(reason)))
        except BenchError as wrong:
            problems.append(str(wrong))
    if problems:
        raise BadRequest(list(dict.fromkeys(problems)))
    said = (planner.visits.warning, planner.visits.goal_warning)
    warnings = [planner.deviates(one.cell) for one in plans.values()]
    warnings += [say(one.cell) for one in plans.values() if one.cell.denoises for say in said]
    for words in dict.fromkeys(filter(None, warnings)):
        bench.progress.say(f"warning: {words}")
    return bench, list(plans.values()), list(dict.fromkeys(impossible))


def _requests(given: Mapping[str, Any], budget: str, problems: list[str]) -> list[Request]:
    """What the flags ask for, or the file with the flags' changes. budget: that of who names none.

    problems: filled with what cannot be read, which is then left as nobody had said it.
    """

    def read(parse: Callable[[Any], T], written: Any) -> T | None:
        try:
            return parse(written) or None
        except BadOption as wrong:
            problems.append(str(wrong))
            return None

    numbers = {**{name: given[name] for name in (*_BUDGET, "lr", "ema", "limit")}, "sampling_steps": given["steps"]}
    said: dict[str, Any] = {
        "axes": {kind: given[kind] for kind in _AXES if given[kind]},
        "overrides": {name: number for name, number in numbers.items() if number is not None},
        "corruption": given["corruption"] or None,
        "transform": given["transform"] or None,
        "seeds": read(parse_seeds, given["seed"]),
        "force": given["force"] or None,
        "mixture": read(parse_mixture, given["train"]) if given["train"] is not None else None,
        **{
            name: given[name]
            for name in (
                "sampling_seed",
                "ensemble",
                "budget",
                "split",
                "train_split",
                "protocol",
                "read_at",
                "tune_on",
                "precision",
            )
        },
    }
    changes = {name: value for name, value in said.items() if value is not None}
    changes["given"] = frozenset(changes) - {"axes", "overrides"}
    if given["spec"] is not None:
        from addp_bench import specfile

        try:
            return specfile.read(given["spec"], changes, budget)
        except BadRequest as wrong:
            problems += wrong.problems
            return []
    return [Request(**{"budget": budget, **changes})]


def find_device(asked: str | None) -> str:
    import torch

    if asked is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        float(torch.ones(1, device=asked))  # `meta` makes tensors too, but they hold nothing
    except (RuntimeError, AssertionError, ImportError) as refused:
        why = str(refused).splitlines()[0]
        raise BadOption(f"--device {asked}: torch cannot compute there ({why}). Here are: {_devices()}") from refused
    return asked


def _devices() -> str:
    """What --device may be on this machine."""
    import torch

    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    others = [("xpu", torch.xpu.is_available()), ("mps", torch.backends.mps.is_available())]
    return ", ".join(["cpu", *cuda, *(name for name, there in others if there)])


def _after(finished: Finished, plans: Sequence[Plan], given: Mapping[str, Any], bench: Bench, *, as_json: bool) -> None:
    """The result, then the commands most wanted next."""
    if as_json:
        answer(
            {
                "records": [dict(r.body) for r in finished.records.values()],
                "failures": {cell: str(error) for cell, error in finished.failures.items()},
                "stages_computed": finished.computed,
            }
        )
    elif finished.records:
        from addp_bench.results import tables

        board = tables.leaderboard(list(finished.records.values()))
        click.echo(tables.render(board, "table"))
    if finished.failures:
        _show_failures(finished, plans, bench)
    if finished.records and not as_json:
        first = next(iter(finished.records))
        where = [] if given["runs"] == Path("runs") else ["--runs", str(given["runs"])]
        plugins = [part for file in given["plugin"] for part in ("--plugin", str(file))]
        following = (["view", first, *where, *plugins], ["leaderboard", *where])
        say("\n".join(["\nNext:", *(f"  {shlex.join(['addp-bench', *words])}" for words in following)]), err=True)


def _show_failures(finished: Finished, plans: Sequence[Plan], bench: Bench) -> None:
    import traceback

    from addp_bench.errors import BenchError
    from addp_bench.store import write_bytes

    described = {plan.id: plan.cell.describe() for plan in plans}
    for cell, error in finished.failures.items():
        say(f"failed: {cell} {described[cell]}\n  {type(error).__name__}: {error}", err=True)
        if not isinstance(error, BenchError):
            folder = bench.runs.root / "failures"
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{cell}.txt"
            write_bytes(file, "".join(traceback.format_exception(error)).encode())
            say(f"  traceback: {file}", err=True)
    say(f"what was finished is kept; to try again: {shlex.join(['addp-bench', *sys.argv[1:]])}", err=True)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"

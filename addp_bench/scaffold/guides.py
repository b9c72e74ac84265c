"""What a README says of each kind: what its example is beside, and the commands that put it on a leaderboard."""

from __future__ import annotations

from dataclasses import dataclass

# As little training and judging as makes rows: about a minute on two cores
SMALL = "--train-samples 128 --train-steps 30 --limit 40 --steps 5"
JUDGED = "--limit 200"  # of who is not trained


@dataclass(frozen=True)
class Guide:
    """One kind. `my_idea` stands for the name that was asked for.

    rival: what comes along and is run beside it, as people call it. run: the flags of `addp-bench run`, without a
    budget; "" for a kind that no run takes yet. place: more of them, which `plan` does not know. small: the budget of
    the first look. serious: flags for figures that mean something. board: flags of `leaderboard`. registers: kinds of
    the plugins that the example registers. note: what an author should know beyond the contract.
    """

    rival: str
    run: str
    board: str = "--task ris"
    small: str = SMALL
    serious: str = "--seeds 0..2 --budget standard"
    registers: tuple[str, ...] = ()
    note: str = ""
    place: str = ""

    @property
    def first_look(self) -> str:
        """The first words of `run`."""
        return " ".join(filter(None, ["run", self.run, self.place, self.small]))

    @property
    def in_earnest(self) -> str:
        """Those of figures that mean something."""
        return " ".join(filter(None, ["run", self.run, self.place, self.serious]))


def _axis(kind: str, rival: str, before: str = "--task ris", note: str = "") -> Guide:
    beside = f"the built-in `{rival}`" if rival != "none" else f"no {kind}"
    return Guide(
        beside, f"{before} --{kind} {rival} --{kind} my_idea", f"--task ris --reference {kind}={rival}", note=note
    )


GUIDES = {
    "task": Guide(
        "the truth itself (`truth`), which nothing can beat",
        "--task my_idea --dataset my_idea --model tiny --model truth",
        "--task my_idea",
        registers=("task", "dataset"),
        note="""\
A task needs a dataset that has its truth. This file brings both: the task, with its protocol and its metrics, and a
dataset of the same name, which takes the photographs of `tabletop` and makes another truth of them. The encoding is
one that comes along (`binary_mask`); any that draws masks will do: `addp-bench list encoding`. For data of your own
replace `Photographs` by a class that opens files; `addp-bench new dataset NAME` writes one to start from.

Whether the metrics measure what their names say, on planted answers whose scores theory knows:

```
addp-bench check metric my_idea.all
```""",
    ),
    "dataset": Guide(
        "an answer without a look at the photograph (`constant`)",
        "--task ris --dataset my_idea --model tiny --model constant",
        "--task ris --where dataset=my_idea",
        note="""\
The example draws its photographs, so that it runs at once. For files take an option `path: str` without a default:
then `addp-bench data adopt my_idea DIR` remembers where they lie. Make the fingerprint of the card from the files:
results are told apart by it.""",
    ),
    "encoding": _axis(
        "encoding",
        "red_mask",
        note="""\
What is lost on the way through drawing, codec and reading is the encoding's ceiling: no model can do better.

```
addp-bench check encoding my_idea --codec tiny --limit 100
```""",
    ),
    "weights": _axis(
        "weights",
        "uniform",
        note="""\
See it before it runs:

```
addp-bench show weights my_idea --plot weights.png
```""",
    ),
    "aug": _axis("aug", "linear"),
    "corruption": _axis(
        "corruption",
        "location",
        "--task ris --aug linear",
        note="""\
A corruption acts where an augmentation asks for it, hence `--aug linear`. Several are joined: `location+my_idea`.""",
    ),
    "transform": _axis("transform", "photometric"),
    "exposure": _axis("exposure", "none"),
    "target": _axis("target", "x0"),
    "noise": _axis(
        "noise",
        "scaled_linear",
        note="""\
The model was trained on a schedule of its own (`--noise own`), which is a third row worth having.""",
    ),
    "objective": _axis("objective", "mse"),
    "model": Guide(
        "an answer without a look at the photograph (`constant`)",
        "--task ris --dataset tabletop --model my_idea --model constant",
        "--task ris --reference model=constant",
        JUDGED,
        "--limit 2000",
        note="""\
The example is a predictor: it answers and is not trained. A model that this bench shall train and sample says
`denoises = True` and has the members of `DenoisingModel` (`addp_bench/protocols.py`). A folder in the layout of
diffusers needs no plugin: `--model instruct_pix2pix:path=DIR`.""",
    ),
    "sampler": _axis(
        "sampler",
        "ddim",
        note="""\
A sampler changes no training, so both rows rest on one trained network.""",
    ),
    "guidance": _axis(
        "guidance",
        "none",
        note="""\
Guidance changes no training, so both rows rest on one trained network.""",
    ),
    "agent": Guide(
        "",
        "",
        note="""\
**No run asks an agent yet**: this version of addp-bench has the contract, the checks and the guidance
(`guidance correctional`), and no command that lets an agent correct a drawing. What can be done today is what stands
above: install, `list`, `show`, `check`, and your own tests. There is no row to be had.""",
    ),
    "executor": Guide(
        "",
        "--task ris --dataset tabletop --model constant --model largest_object",
        "--task ris",
        JUDGED,
        "--limit 2000",
        note="""\
Where a cell runs is no part of its result: the rows are those of any other executor, and what is done stays done.""",
        place="--executor my_idea",
    ),
    "tracker": Guide(
        "",
        "--task ris --weights uniform",
        "--task ris",
        note="""\
What is tracked is no part of the result; nothing is tracked unless `--track` asks for it. The example writes
`my_idea.jsonl`. What a tracker raises leaves it out of the rest of the run, and fails nothing.""",
        place="--track my_idea",
    ),
}

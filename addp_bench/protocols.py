"""The contract of each kind of plugin. A plugin needs no base class: it is what it can do.

B is batch, T timesteps, images are (B, 3, H, W) float32 in [-1, 1], latents (B, C, h, w) float32. Code index t runs
0..T-1; T-1 is the noisiest. Members marked *optional* are asked for with getattr; their absence has the stated
meaning. Every plugin is built from its options alone (the parameters of its constructor); data reaches it as arguments.
Equal arguments get equal answers: no plugin reads, seeds or moves on a global random state, writes into its arguments,
or answers out of what an earlier call showed it. `addp_bench.checks` holds plugins to this and to what follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from addp_bench.contribution import Contribution
    from addp_bench.jobs import Job, Outcome
    from addp_bench.types import Attempt, Budget, Card, Drawing, ModelCard, Query, Sample, Step


# ---------------------------------------------------------------------------------------------- what is judged


class Metric(Protocol):
    """A number made of per-sample sufficient statistics, so that any subset or resample of samples can be judged."""

    @property
    def id(self) -> str:
        """Stable name, such as "oiou"."""

    @property
    def label(self) -> str:
        """How tables print it, such as "oIoU"."""

    @property
    def unit(self) -> str:
        """Either "points" (stored in [0, 1], shown x 100) or a physical unit such as "m"."""

    @property
    def higher_is_better(self) -> bool:
        """Its direction."""

    @property
    def version(self) -> int:
        """Goes up when the number would change."""

    def value(self, statistics: Mapping[str, Any], counts: np.ndarray | None = None) -> np.ndarray:
        """statistics: columns, (N,) float64 or `statistics.Ragged`, as the evaluator made them of its samples.

        counts: (R, N), how often each sample stands in each of R resamples. Returns (R,) float64, or () without
        counts; nan where nothing could be scored.
        """


class Evaluator(Protocol):
    """Scores predictions of one task under one protocol. Meets predictions and truths, never a model."""

    metrics: Sequence[Metric]  # the first is the headline
    # *Optional* `uses_truth` True: the truth decides which predictions count, and tables mark every row judged so.
    # *Optional* `deviates`: a promise of `checks.metric` that is broken on purpose -> what is done, and after whom. Its
    # metrics have ids that theory does not know.

    def drawing_size(self, sample: Sample) -> tuple[int, int] | None:
        """(H, W) to which a drawing and its photograph are resized, bilinearly, before decoding; None leaves them."""

    def statistics(self, sample: Sample, prediction: Any) -> Mapping[str, float | np.ndarray]:
        """The sufficient statistics of one sample, each a number or a 1-D array; the same keys for every sample.

        An array may have another length for every sample. Raises BadPrediction, naming the sample, when the
        prediction cannot be scored.
        """

    # *Optional* `statistics_batch(sample, predictions) -> Sequence[Mapping]`: the same of several predictions for one
    # sample, all recorded steps' say, which may be tensors on any device; so a truth is prepared once. Counts are those
    # of `statistics`, other numbers within 1e-12 of them, errors the same.


class Task(Protocol):
    """What is asked, what the truth is, and how answers are judged."""

    # Type of the truth of a sample, a word that encodings, corruptions and transforms name too. "mask" (H, W) bool ·
    # "depth" (H, W) float32 metres, 0 where unknown · "labels" (H, W) int64 indices into the vocabulary,
    # types.UNLABELLED where unknown · "boxes" types.Objects, collated types.Boxes · "class" int, an index into the
    # vocabulary, predicted as such or as types.Classified · "classes" (C,) bool, which of the vocabulary's classes are
    # in the photograph, predicted as types.Presence · any other word: a type that this task alone knows
    truth: ClassVar[str]
    reads: ClassVar[str]  # "drawing", or "features" for a probe, which then has `reading() -> probing.Reading`
    corruptions: ClassVar[Sequence[str]]  # default corruptions of an augmented cell
    encoding: ClassVar[str]  # default encoding
    # *Optional* `forbids`: what transforms may do with a picture but not here ("mirror", "crop") -> the reason.
    # *Optional* `picture(answer, photo (H, W, 3) uint8, vocabulary) -> (H, W, 3) uint8`: how people see an answer.
    # *Optional* `write(prediction, path)`, `read(path, sample) -> prediction`, `suffix`: predictions as files that
    # other programs know; `read` raises BadData for a file that is none. Where the split has `category_ids`, they are
    # the third argument of `write` and a hint of `read`'s sample. *Optional* `read_all(path, sample)`: the same of a
    # file of a whole split, after `require_of(path, ids, names)` has raised BadData for one that is not this split's
    # (names: its "category_ids" and "vocabulary", where it has them). *Optional* `ensemble(predictions) ->
    # prediction`: one answer of several to the same question. *Optional* `present(truth) -> labels`: the classes that a
    # truth holds, for protocols whose setting `class_list` is "present": every query of a judged sample that asks for
    # another class is left out, and the record says that the protocol looked at the truth. *Optional*
    # `balanced(sample) -> labels`: the same for "balanced". *Optional* `class_list`: "balanced" where training and
    # statistics ask for these alone too, "all" without it. *Optional* `refuses(protocol, encoding) -> str | None`: why
    # answers drawn in this encoding cannot be judged so. *Optional* `cards`, name -> dataset -> types.ProtocolCard: how
    # published figures are made on it (`protocol_cards`). *Optional* `example(side, generator) -> (sample, answer,
    # worse)`, for a type of truth that is none of those above: what it and all that draws, damages, changes or predicts
    # such truths is checked with. A Sample whose photograph is square, `side` pixels, and which all its protocols can
    # judge; the prediction that is its truth; one that is worse. All randomness comes from the numpy generator.

    def resize(self, truth: Any, height: int, width: int) -> Any:
        """The truth of one sample at another size (masks and labels by the nearest pixel)."""

    def require(self, sample: Sample) -> None:
        """Raises BadData, naming the sample, for a truth that cannot be drawn or judged (*optional*)."""

    def collate(self, truths: Sequence[Any]) -> Any:
        """Truths of B samples -> one batch of them (for masks a (B, H, W) bool tensor)."""

    def quality(self, prediction: Any, truth: Any) -> float:
        """One number for one sample, for Algorithm A. A task that reads features has none (*optional*)."""

    def protocols(self) -> Mapping[str, Mapping[str, Any]]:
        """Named evaluation protocols: every setting that changes a number, with its value."""

    def evaluator(self, protocol: Mapping[str, Any], vocabulary: Sequence[str] = ()) -> Evaluator:
        """The judge under these settings. vocabulary: names of the classes that the split's labels index."""


class Samples(Protocol):
    """A split: a sequence that knows its ids without opening images."""

    ids: Sequence[str]
    image_ids: Sequence[str]
    # *Optional* `vocabulary`: names of the classes that labels index and encodings may ask for; none without it.
    # *Optional* `category_ids`: what result files call these classes; without it they are numbered from 1. *Optional*
    # `predictions`: for each sample the file, without its ending, that other programs write its prediction into.

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def text(self, index: int) -> str:
        """The words of a sample, without opening its photograph."""


class Dataset(Protocol):
    """Where samples come from."""

    tasks: ClassVar[Sequence[str]]  # tasks it has truth for
    # *Optional* `about`, a class attribute: types.About, what is known of it before its files are here. A dataset whose
    # option `path` has no default is one that people get for themselves; `data adopt` remembers where theirs lies.

    def splits(self) -> Sequence[str]:
        """Names of its splits. Those used by default are what `default_split` says of "train", "stats" and "eval"."""

    def default_split(self, purpose: str) -> str:
        """The split for "train", "stats" or "eval". `stats` never overlaps what `eval` gives.

        Raises BadOption for a purpose that it does not serve: a dataset may be for judging, or for training, alone.
        """

    def samples(self, split: str, task: str) -> Samples:
        """The samples of a split. Raises UnknownName for a split, BadData for files that are missing or broken."""

    def card(self) -> Card:
        """Licence, citation, counts, fingerprint."""

    def protocol(self, task: str) -> str:
        """Name of the task's protocol that this dataset is judged by unless asked otherwise.

        Raises BadOption where it serves no "eval".
        """


# ------------------------------------------------------------------------------------------------ how it is drawn


class Encoding(Protocol):
    """How a truth is drawn as a picture and read back. One sample may need several drawings (one per class, say)."""

    truth: ClassVar[str]  # the type of truth it draws; must equal the task's
    # *Optional* `partial` True: some drawings mean something in part only, as their `valid` says. *Optional*
    # `learns`: of so many training samples a decoder must learn before anything is read, 0 for none. It then has
    # `fit(drawings: decoders.Drawings, seed, progress) -> Mapping[str, Tensor]`, called once with samples of the
    # training split, whose weights it finds again under its option `path`, as safetensors, and learns no more.

    def queries(self, sample: Sample, vocabulary: Sequence[str]) -> Sequence[Query]:
        """What to ask for this sample, one prompt per drawing; the sample comes without its truth and hints.

        vocabulary: names of the classes that the split may be asked for.
        """

    def encode(self, image: Tensor, truth: Any, queries: Sequence[Query]) -> Drawing:
        """image (B, 3, H, W) in [-1, 1], truth as the task collates it, B queries -> the drawn truth."""

    def decode(self, drawings: Tensor, image: Tensor, queries: Sequence[Query]) -> Any:
        """The K drawings (K, 3, H, W) in [-1, 1] of ONE sample, its image (3, H, W), its K queries -> a prediction.

        Never sees truth. *Optional* `decode_batch(drawings (B, 3, H, W), image (B, 3, H, W), queries)` -> a sequence of
        B predictions, of B queries, for encodings with one drawing per sample. It says of each what `decode` says, and
        is what recorded steps are read with, several at once, on the device of the model. *Optional* `sweep`, a
        types.Sweep: the option of reading, which nothing of `encode` and `queries` depends on, that may be chosen on a
        tuning split (`tuning`); None for none. With it `decode_swept(drawings, image, queries, values)` -> the
        predictions of `decode` at each of these values of the option; what they are compared with is measured once.
        """


class Corruption(Protocol):
    """Damages a target as the drift of sampling would. The photograph never moves and keeps its colours."""

    acts_on: ClassVar[str]  # "truth" or "drawing"
    truth: ClassVar[str]  # type of truth it understands, "any" for drawings of any kind

    def corrupt(self, target: Any, strength: Tensor, u: Tensor) -> Any:
        """target: a batch of truths, or a Drawing. strength (B,) in [0, 2]; 0 returns the target unchanged.

        u (B, draws) uniform on [0, 1): all its randomness, `draws` numbers for each sample. Same type and shape back.
        """

    draws: ClassVar[int]


class Transform(Protocol):
    """Ordinary augmentation of the training: a photograph and its truth changed alike, before anything is drawn."""

    truths: ClassVar[Sequence[str]]  # types of truth it can change
    draws: ClassVar[int]
    changes: Sequence[str]  # what it does with a picture: "mirror", "crop"; a task may forbid these

    def apply(self, photos: Tensor, truth: Any, u: Tensor) -> tuple[Tensor, Any]:
        """photos (B, 3, H, W) in [-1, 1] and a batch of truths of that size -> the same, changed.

        u (B, draws) uniform on [0, 1): all its randomness.
        """


class Aug(Protocol):
    """How strongly targets are corrupted at each timestep."""

    corrupts: ClassVar[bool]  # False for `none`

    def strength(self, t: Tensor, noise: Noise) -> Tensor:
        """Strength (B,) float32 in [0, 2] for timesteps t (B,)."""


# ------------------------------------------------------------------------------------------------ diffusion


class Noise(Protocol):
    """A forward process x_t = a(t) x0 + s(t) eps."""

    steps: int  # T

    def a(self, t: Tensor) -> Tensor:
        """Signal coefficient (B,) float32."""

    def s(self, t: Tensor) -> Tensor:
        """Noise coefficient (B,) float32."""

    def snr(self, t: Tensor) -> Tensor:
        """a^2 / s^2 (B,) float64."""

    alphas_cumprod: np.ndarray  # (T,) float64, a(t)^2; for flows a^2 / (a^2 + s^2)

    def draw(self, white: Tensor, t: Tensor) -> Tensor:
        """Training noise of the asked distribution made of white noise (B, C, h, w); usually `white` itself."""

    def start(self, white: Tensor) -> Tensor:
        """Start of a trajectory made of white noise (B, C, h, w); usually `white` itself."""


class Target(Protocol):
    """What the network is asked to output. Coefficients come in as (B, 1, 1, 1); a^2 + s^2 need not be 1."""

    accepts_corruption: ClassVar[bool]  # False for plain epsilon, which would learn the corrupted target

    def of(self, x0: Tensor, x_t: Tensor, eps: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """The training target. x0 clean; x_t made of the (perhaps corrupted) x0 and eps."""

    def to_x0(self, output: Tensor, x_t: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """x0 as the network's output means it."""

    def error_scale(self, snr: Tensor) -> Tensor:
        """k(SNR) such that |target error|^2 = k |x0 error|^2: x0 1, epsilon SNR, v 1 + SNR, flow (1 + sqrt(SNR))^2."""


class Weights(Protocol):
    """Which timesteps are trained, and how much each counts."""

    needs_contribution: ClassVar[bool]  # True: Algorithm A is run on a uniformly trained source first

    def bind(self, noise: Noise, target: Target, contribution: Contribution | None) -> TimestepDraws:
        """The strategy for this schedule and target. Raises Degenerate or BadOption, naming the strategy."""


class TimestepDraws(Protocol):
    """A bound strategy. `addp_bench.timesteps.VectorDraws` serves all that are a fixed vector.

    *Optional* `probabilities`, `loss_weights` (T,) float64: the distribution of t that is really drawn, and the weight
    that a timestep's loss gets; as they are now for a strategy that learns. Without them a record tells no shares.
    """

    def draw(self, u: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """u (B,) uniform on [0, 1), common to all cells -> t (B,) int64 and loss weights (B,) float32."""

    def combine(self, losses: Tensor, t: Tensor, step: int) -> Tensor:
        """Per-sample losses (B,), already times their weights -> the scalar that is minimised."""

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        """Parameters learnt along with the network; empty for most."""

    # *Optional* `learning_rate`: of these parameters, constant; without it they follow the network's. *Optional*
    # `backward(losses (B,), t, step, parameters) -> Tensor`: instead of `combine`, for strategies that join gradients
    # and not losses; leaves a gradient on each of the network's parameters and returns the loss that is logged.

    def state_dict(self) -> dict[str, Any]:
        """Whatever must survive a restart."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The reverse."""


class Exposure(Protocol):
    """A cure for exposure bias: changes what the network is shown in training, or its output in sampling."""

    perturbs: ClassVar[bool]  # True: train_input is given fresh noise, False: None
    trains: ClassVar[bool] = True  # False: training is that of `none`, and is shared with it
    # *Optional* `retargets` True: its input is not made of x_t, so the goal, and the x0 that an output means, are those
    # of the input that is shown. *Optional* `draws`: train_input is also given `u=` (B, draws), uniform on [0, 1).

    def train_input(self, x_t: Tensor, t: Tensor, noise: Noise, white: Tensor | None, denoise: Denoise) -> Tensor:
        """The noisy input (B, C, h, w) to train on at timesteps t (B,), in place of x_t.

        The goal stays that of x_t, unless the cure `retargets`. white (B, C, h, w): fresh noise. denoise(x, t (B,)):
        the network as it is now, under the batch's conditioning, without gradient, for inputs made of its own answers.
        """

    def sampled(self, eps: Tensor, index: int) -> Tensor:
        """The noise estimate to go on with; index counts the sampler's steps from the least noisy, 0."""


class Objective(Protocol):
    """The loss of a batch, per sample."""

    def losses(self, attempt: Attempt) -> Tensor:
        """What came of a batch -> (B,) float32.

        *Optional* members: `needs_valid` True means nothing for drawings that are valid everywhere, and is refused for
        them; `features` names modules of the network whose outputs `attempt.features` shall hold; `bind(model)` gives
        the objective for a model, asked once before training; `parameters()`, `state_dict()` and `load_state_dict()`
        belong to an objective that learns, as those of TimestepDraws.
        """


class Denoise(Protocol):
    """A guided network as a sampler sees it."""

    def __call__(self, x_t: Tensor, t: Any) -> Tensor:
        """x_t (B, C, h, w) at timestep t -> the estimate of x0 (B, C, h, w)."""


class Sampler(Protocol):
    """From noise to an answer, in variance-preserving coordinates.

    A schedule whose a^2 + s^2 is not 1, such as a flow, is the same process up to a scale c = sqrt(a^2 + s^2), and
    whoever calls a sampler divides by it (`sampling.guided`, `sampling.begin`). So a sampler reads nothing of `noise`
    but alphas_cumprod and steps: x_t = sqrt(alphas_cumprod) x0 + sqrt(1 - alphas_cumprod) eps.
    """

    def timesteps(self, noise: Noise, steps: int) -> Sequence[int]:
        """The timesteps visited, noisiest first."""

    def trajectory(
        self, denoise: Denoise, start: Tensor, noise: Noise, steps: int, names: Sequence[tuple[str | int, ...]]
    ) -> Sequence[Step]:
        """From start (B, C, h, w), of variance 1: every step's estimate of x0, noisiest first; the last is the answer.

        names: the stream of each sample, for samplers that draw noise on the way.
        """

    # *Optional* `warning(noise, steps) -> str | None`: what a person should know of so many steps before they are
    # taken; said once by `run` and `plan`.


class Guidance(Protocol):
    """A linear combination of the network under different conditionings, evaluated in one batched pass."""

    def coefficients(self) -> Mapping[tuple[str, str], float]:
        """Coefficient of each conditioning (text, image): text "full", "null" or "correction", image "full" or "null".

        They sum to 1.
        """


class Agent(Protocol):
    """Who proposes corrections, in words."""

    uses_truth: ClassVar[bool]  # declared, and shown in tables

    def propose(
        self, image: np.ndarray, expression: str, history: Sequence[Mapping[str, Any]], k: int
    ) -> Sequence[str]:
        """Up to k correctional prompts for an image (H, W, 3) uint8. history: earlier rounds, prompts and masks."""


# ------------------------------------------------------------------------------------------------ models


@runtime_checkable
class Predictor(Protocol):
    """Anything that answers. `denoises`: it is a DenoisingModel, which we can train and sample."""

    denoises: ClassVar[bool]

    def predict(self, sample: Sample, task: str, generator: np.random.Generator) -> Any:
        """A prediction for one sample of a task. Raises UnknownName for a task that it does not know.

        *Optional* `tasks`: names of those it has an answer for; without it, all. *Optional* `bind(task, name) ->
        Predictor`, called once before it is asked: gives the predictor for a task.
        `uses_truth` (*optional*, default False) marks those that look: True, or the names of the tasks in which they
        do. Others find nothing among the sample's hints but, where its labels index classes, the "vocabulary" of their
        names. `random` (*optional*, default True): whether the generator can change an answer; where it cannot, seeds
        are not multiplied.

        `expect(samples)` (*optional*): called once before it is asked, with the split that is judged, for what it
        names: ids, `predictions`, `category_ids`. `learn(samples, count, task)` (*optional*): called once before it is
        asked, with the training split and how many of its samples may be used, from the first on. Which split and
        dataset these are becomes part of the cell.
        """


class Codec(Protocol):
    """Between pictures and latents."""

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Latent shape (C, h, w) of a picture. Raises BadData for a size it cannot take."""

    def encode(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> latents (B, C, h, w), scaled. noise: the posterior's; None: its mode."""

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents -> (B, 3, H, W), clipped to [-1, 1]."""


class DenoisingModel(Protocol):
    """A conditional diffusion model that can be fine-tuned by us."""

    denoises: ClassVar[bool]
    codec: Codec
    noise: Noise  # the schedule it was trained with
    target: str  # what it was trained to output: "epsilon", "x0" or "v"
    resolution: int  # side of the square pictures it is trained on, pixels
    budgets: ClassVar[Mapping[str, Budget]]
    network: torch.nn.Module  # what is trained; everything else is frozen

    def condition(self, images: Tensor) -> Tensor:
        """Photographs (B, 3, H, W) in [-1, 1] -> image conditioning (B, C', h, w). Zeros stand for "no image"."""

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Prompts -> text conditioning (B, L, D). The empty string stands for "no text"."""

    def forward(self, x_t: Tensor, t: Tensor, image: Tensor, text: Tensor) -> Tensor:
        """Raw output (B, C, h, w) at timesteps t (B,)."""

    dropout: ClassVar[tuple[float, float, float]]  # share of samples trained without text, without both, without image
    weight_decay: ClassVar[float]  # AdamW's

    @classmethod
    def card(cls, options: Mapping[str, Any]) -> ModelCard:
        """What planning needs, from the complete options, without loading weights. Raises BadModel."""

    def to(self, device: torch.device | str) -> DenoisingModel:
        """Move every part."""

    # *Optional* `features(x_t, t, image, text, layers) -> Mapping[str, Tensor]`: outputs (B, C, h, w) of named layers,
    # without gradient, for tasks that read features; `layers` names all there are, here and in its card.


class Executor(Protocol):
    """Does the jobs of a run, here or elsewhere."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run jobs, none of which comes before one that it needs; yields each once, as it ends.

        One that needs a failed job is not begun, and ends with that one's error. In this process `jobs.attempt` does a
        job; another process is given what `Job.order` says, and hands it to `worker.carry_out` (`jobs.spread` keeps the
        order of things, and asks for no more than the places where jobs are done).
        """


class Tracker(Protocol):
    """Shows runs elsewhere, as they go on. What it raises leaves it out of the rest, and fails no cell.

    run: names one cell, or one training that a cell rests on; several may be open at once.
    """

    def begin(self, run: str, config: Mapping[str, Any]) -> None:
        """A run begins. config: the cell's choices, budget and seeds, as plain values."""

    def log(self, run: str, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a training step, counted from 1; the step grows within a run, or begins anew after a resume."""

    def end(self, run: str, values: Mapping[str, float]) -> None:
        """The run ended. values: metrics in their stored unit, by name; none where there is no result."""

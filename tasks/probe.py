"""Linear probing: what a frozen denoiser's features hold of a photograph's class (DDAE, Xiang et al., 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from addp_bench.errors import BadData, BadOption, BadPrediction, unknown
from addp_bench.hookspecs import hookimpl
from addp_bench.metrics import LogOfPairs, MeanOf
from addp_bench.types import Classified

if TYPE_CHECKING:
    from torch import Tensor

    from addp_bench.probing import Reading
    from addp_bench.registry import Registry
    from addp_bench.types import Sample

BEST = "best"
# top: an answer counts as near when the class is among so many of the highest scores
PROTOCOLS: Mapping[str, Mapping[str, Any]] = {"ddae": {"top": 5}, "tabletop_probe": {"top": 5}}


class Probe:
    """A linear layer that reads the class of a photograph from one block of a frozen denoiser.

    The photograph's latent is noised to t, the network looks at it once with null text, and one block's output,
    averaged over the picture, goes through a linear layer trained by cross-entropy. Defaults of the training are
    DDAE's.

    of: whose network is read: published, as the model comes; random, with new weights drawn by the seed, which says
    what training gave; or the id of a finished cell, whose network is read as it was fine-tuned.

    layer: a block out_1 .. out_K of the up path; several joined by +, or best for all: then the one that does best on
    the split `stats` is taken, never on the judged one.

    t: the timestep that photographs are noised to, 0 the cleanest; of several joined by + the best on `stats` is taken.
    The first three are DDAE's, the others near those it takes for a latent diffusion model.

    draws: times that every photograph is noised, anew each time; training goes round them from epoch to epoch, and
    accuracy is the mean over them. How many are kept is ours; DDAE noises anew in every epoch, and once in testing.

    image: what a network that also takes a photograph is shown as such: none (zeros) or photo.

    epochs: passes over the training photographs. batch_size: of the linear layer. lr: of Adam, falling along a cosine.
    """

    truth: ClassVar[str] = "class"
    reads: ClassVar[str] = "features"
    corruptions: ClassVar[Sequence[str]] = ()
    encoding: ClassVar[str] = ""  # nothing is drawn

    def __init__(
        self,
        of: str = "published",
        layer: str = BEST,
        t: int | str = "0+10+20+80+120",
        draws: int = 2,
        image: Literal["none", "photo"] = "none",
        epochs: int = 15,
        batch_size: int = 128,
        lr: float = 1e-3,
    ) -> None:
        for name, value in (("draws", draws), ("epochs", epochs), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{name} is 1 or more, got {value}")
        if not 0 < lr < float("inf"):
            raise ValueError(f"lr is above 0, got {lr}")
        self.of, self.draws, self.image = of, draws, image
        self.layers = () if layer == BEST else tuple(layer.split("+"))
        try:
            self.timesteps = tuple(int(part) for part in str(t).split("+"))
        except ValueError:
            raise ValueError(f"t is a timestep, or several joined by +, such as 0+10+20; got {t!r}") from None
        for name, values in (("layer", self.layers), ("t", self.timesteps)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names {max(values, key=values.count)} twice")
        self.epochs, self.batch_size, self.lr = epochs, batch_size, lr

    def reading(self) -> Reading:
        """What the options ask for."""
        from addp_bench.probing import Reading

        return Reading(
            self.of, self.layers, self.timesteps, self.draws, self.image, self.epochs, self.batch_size, self.lr
        )

    def resize(self, truth: Any, height: int, width: int) -> int:
        """The class of a photograph is that of any size of it."""
        return int(truth)

    def require(self, sample: Sample) -> None:
        """Raises BadData, naming the sample, when its truth is no class."""
        if not isinstance(sample.truth, (int, np.integer)) or isinstance(sample.truth, bool) or sample.truth < 0:
            raise BadData(
                f"sample {sample.id}: its truth is {sample.truth!r}; expected the index of a class, 0 or more"
            )

    def collate(self, truths: Sequence[Any]) -> Tensor:
        """B classes -> (B,) int64."""
        import torch

        return torch.tensor([int(truth) for truth in truths], dtype=torch.int64)

    def protocols(self) -> Mapping[str, Mapping[str, Any]]:
        """Every protocol with all its settings."""
        return PROTOCOLS

    def evaluator(self, protocol: Mapping[str, Any], vocabulary: Sequence[str] = ()) -> Evaluator:
        """The judge. vocabulary: names of the classes. Raises UnknownName and BadOption for a setting."""
        for name in protocol:
            if name != "top":
                raise unknown("setting of a probe protocol", name, ["top"])
        top = protocol.get("top", 5)
        if not isinstance(top, int) or top < 2:
            raise BadOption(f"probe protocol: top is a number of classes, 2 or more; got {top!r}")
        return Evaluator(top, vocabulary)


class Evaluator:
    """Compares classes.

    Columns: correct in [0, 1], the share of noise draws answered rightly · near, the same where the class is among the
    `top` highest scores · alignment · closeness, see `probing` · truth and predicted, class indices, the latter of the
    first draw.
    """

    def __init__(self, top: int, vocabulary: Sequence[str]) -> None:
        self.top, self.vocabulary = top, vocabulary
        near = MeanOf(id=f"top{top}", label=f"top-{top}", column="near")
        self.metrics: Sequence[MeanOf | LogOfPairs] = [
            MeanOf(id="top1", label="top-1", column="correct"),
            *([near] if len(vocabulary) > top else []),
            MeanOf(id="alignment", label="alignment", column="alignment", unit="distance²", higher_is_better=False),
            LogOfPairs(id="uniformity", label="uniformity", column="closeness"),
        ]

    def drawing_size(self, sample: Sample) -> tuple[int, int] | None:
        """None: nothing is drawn."""
        return None

    def statistics(self, sample: Sample, prediction: Any) -> dict[str, float]:
        """prediction: types.Classified, or the index of a class, which is then the one class that was named.

        Of equal scores the first class goes before. Raises BadPrediction, naming the sample, for scores that are not
        finite or of other classes, and for an index that is no class; BadData for a truth that is none.
        """
        count = len(self.vocabulary)
        if not 0 <= sample.truth < count:
            raise BadData(f"sample {sample.id}: its class is {sample.truth}, and the split names {count} classes")
        if isinstance(prediction, Classified):
            order = self._order(sample, prediction)
            said, right = prediction, order == sample.truth
            predicted, near = int(order[0, 0]), right[:, : self.top].any(1).mean()
            correct = right[:, 0].mean()
        else:
            predicted = self._index(sample, prediction)
            said = Classified(np.empty((0, count)))
            correct = near = float(predicted == sample.truth)
        return {
            "correct": float(correct),
            "near": float(near),
            "alignment": said.alignment,
            "closeness": said.closeness,
            "truth": float(sample.truth),
            "predicted": float(predicted),
        }

    def _order(self, sample: Sample, prediction: Classified) -> np.ndarray:
        """Classes from the highest score down, (K, C)."""
        scores, count = np.asarray(prediction.scores), len(self.vocabulary)
        if scores.ndim != 2 or scores.shape[1] != count or not len(scores):
            raise BadPrediction(f"sample {sample.id}: scores are {scores.shape}; expected (draws, {count})")
        if not np.isfinite(scores).all():
            raise BadPrediction(f"sample {sample.id}: a class has a score that is not finite")
        return np.argsort(-scores, axis=1, kind="stable")

    def _index(self, sample: Sample, prediction: Any) -> int:
        count = len(self.vocabulary)
        if not isinstance(prediction, (int, np.integer)) or isinstance(prediction, bool) or not 0 <= prediction < count:
            raise BadPrediction(
                f"sample {sample.id}: the prediction is {prediction!r}; expected the index of one of {count} classes"
            )
        return int(prediction)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("task", "probe", Probe)

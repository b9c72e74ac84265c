"""From a record back to the cell that made it: its trained network, and the pictures it drew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from addp_bench import cache, decoders, evaluation
from addp_bench.cell import Cell
from addp_bench.errors import BadData, BadModel
from addp_bench.randomness import normal
from addp_bench.sampling import begin, exposed, guided
from addp_bench.store import Stage
from addp_bench.training import autocast
from addp_bench.types import Sample, to_uint8

if TYPE_CHECKING:
    from addp_bench.records import Record
    from addp_bench.run import Bench


class Reopened:
    """A finished cell, found through its record; what it needs of the runs folder is checked where it is used.

    Raises BadData for a record that another program wrote, from which no cell follows.
    """

    def __init__(self, record: Record, bench: Bench) -> None:
        self.record, self.bench = record, bench
        if missing := {"cell", "spec"} - record.provenance.keys():
            raise BadData(f"record {record.id} does not say how it was made: its provenance lacks {sorted(missing)}")
        self.cell = Cell.from_plain(record.provenance["cell"])
        self.specs = record.provenance["spec"]

    def stage(self, kind: str) -> Stage:
        """The cell's own stage of a kind: the one its score rests on, not one of a source's."""
        return self._finished(kind, self._spec("predict", self._predicted[0])[kind])

    def members(self) -> list[Path]:
        """Folders of the predictions its score rests on, one for each member of an ensemble."""
        return [self.bench.folder(self._finished("predict", key)) for key in self._predicted]

    @property
    def _predicted(self) -> list[str]:
        score = next(spec for name, spec in self.specs.items() if name.startswith("score/"))
        return [score["predict"]] if isinstance(score["predict"], str) else list(score["predict"])

    def _finished(self, kind: str, key: str) -> Stage:
        found = Stage(kind, self._spec(kind, key))
        folder = self.bench.folder(found)
        if not folder.is_dir():
            raise BadData(
                f"cell {self.record.id}: {folder} is gone, and with it what its {kind} stage made. "
                "The record still stands; to make it again, remove the record and run the cell."
            )
        return found

    def pictures(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """What was drawn for these samples, at the step that was read.

        Raises BadData when they cannot be found any more, or the dataset is no longer the one that was judged on.
        Each: id, photo (H, W, 3) uint8, drawing (K, H, W, 3) uint8 at the model's size, truth, prediction, text, and
        shown: how the task pictures truth and prediction, where it does; classes come by their names.
        """
        judged, there = self.record.result["dataset"], self.bench.work.build("dataset", self.cell).card().fingerprint
        if there != judged["fingerprint"]:
            raise BadData(
                f"cell {self.record.id} was judged on {judged['name']} with fingerprint {judged['fingerprint'][:16]}, "
                f"which now has {there[:16]}: its pictures would be those of other samples. Run the cell again, or "
                "bring back the data it was judged on."
            )
        settings = self.record.result["protocol"]["settings"]
        asked = settings.get("class_list", "all")
        samples, count = self.bench.work.samples(self.cell, "eval", self.cell.budget.limit, asked)
        place = {id_: i for i, id_ in enumerate(samples.ids[:count])}
        if missing := [i for i in ids if i not in place]:
            raise BadData(f"cell {self.record.id}: its split has no sample {missing[0]!r} any more")
        if not self.cell.denoises:
            predictor = None if self.cell.probes else self.bench.work.predictor(self.cell)
            return [self._asked(predictor, samples[place[i]], cache.vocabulary(samples)) for i in ids]
        task = self.bench.work.build("task", self.cell)
        evaluator = task.evaluator(settings, cache.vocabulary(samples))
        encoding, model = self.encoding(), self.bench.work.model(self.cell)
        members = [evaluation.Drawn.open(folder) for folder in self.members()]
        read = self.record.result["read_at"]["index"]
        found = []
        for i in ids:
            sample = samples[place[i]]
            queries, size = cache.queries(encoding, sample, samples), evaluator.drawing_size(sample)
            drawings = []
            for drawn in members:
                x0 = torch.from_numpy(drawn.only(place[i])[:, read]).to(self.bench.device)
                with torch.no_grad():
                    drawings.append(to_uint8(model.codec.decode(x0)))
            predictions = [evaluation.decode(drawing, sample, queries, encoding, size) for drawing in drawings]
            prediction, whole = self._one(predictions), np.concatenate(drawings)
            found.append(self._picture(sample, prediction, whole, cache.vocabulary(samples)))
        return found

    def encoding(self) -> Any:
        """The cell's encoding as answers were read: with a fitted decoder, at a chosen threshold."""
        cell, predicted = self.cell, self._spec("predict", self._predicted[0])
        if "decoder" in predicted:
            cell = decoders.reading(cell, self.bench.folder(self._finished("decoder", predicted["decoder"])))
        return self.bench.work.encoding(cell, self.record.result.get("tuning"))

    def _one(self, predictions: Sequence[Any]) -> Any:
        """One prediction of those of an ensemble's members."""
        if len(predictions) == 1:
            return predictions[0]
        return self.bench.work.build("task", self.cell).ensemble(predictions)

    def answer(self, image: np.ndarray, text: str, seed: int = 0) -> tuple[np.ndarray, Any]:
        """Let the trained cell answer for any photograph (H, W, 3) uint8.

        Returns the drawing (side, side, 3) uint8 and the prediction read from it at the photograph's own size.
        Raises BadModel for a cell that draws nothing.
        """
        if not self.cell.denoises:
            what = "a probe" if self.cell.probes else self.cell.name("model")
            raise BadModel(f"cell {self.record.id} is {what}, which draws no answers")
        bench, cell = self.bench, self.cell
        sample = Sample("photo", "photo", image, None, text)
        model = bench.work.trained(cell, self.stage("train"))
        encoding = self.encoding()
        queries = cache.queries(encoding, sample, bench.work.samples(cell, "eval", None)[0])
        noise, sampler = bench.work.noise(cell, model), bench.work.build("sampler", cell)
        k, side, steps = len(queries), model.resolution, cell.budget.sampling_steps
        condition = model.condition(cache.photos([sample], side).to(bench.device)).expand(k, -1, -1, -1)
        words = model.embed([query.prompt for query in queries]).to(bench.device)
        null = model.embed([""])[0].to(bench.device)
        target, guidance = bench.work.build("target", cell), bench.work.build("guidance", cell)
        denoise = guided(model, guidance, target, condition, words, null, noise)
        denoise = exposed(denoise, bench.work.build("exposure", cell), noise, sampler.timesteps(noise, steps))
        read = self.record.result["read_at"]["index"]
        drawings = []
        for member in range(cell.ensemble):
            names = [("photo", seed, i, *(("member", member) if member else ())) for i in range(k)]
            white = normal(model.codec.shape(side, side), names).to(bench.device)
            with torch.no_grad(), autocast(cell.precision, bench.device):
                visited = sampler.trajectory(denoise, begin(noise, white), noise, steps, names)
                kept = evaluation.recorded([step.t for step in visited], noise.steps)
            with torch.no_grad():
                drawings.append(to_uint8(model.codec.decode(visited[kept[read]].x0.float())))
        height, width = image.shape[:2]
        predictions = [evaluation.decode(drawing, sample, queries, encoding, (height, width)) for drawing in drawings]
        return np.concatenate(drawings), self._one(predictions)

    def _asked(self, predictor: Any, sample: Sample, vocabulary: Sequence[str]) -> dict[str, Any]:
        """predictor: None for a probe, whose answers stand in the record."""
        if predictor is None:
            statistics = self.record.statistics
            row = statistics.ids.tolist().index(sample.id)
            said: Any = int(statistics.columns["predicted"][row])
        else:
            said = evaluation.ask(predictor, sample, self.cell.name("task"), self.cell.seed, vocabulary)
        picture = self._picture(sample, said, None, vocabulary)
        if self.bench.work.build("task", self.cell).truth != "class":
            return picture
        return {**picture, **{part: vocabulary[picture[part]] for part in ("truth", "prediction")}}

    def _picture(
        self, sample: Sample, prediction: Any, drawing: np.ndarray | None, vocabulary: Sequence[str]
    ) -> dict[str, Any]:
        prediction = np.asarray(prediction.cpu()) if isinstance(prediction, torch.Tensor) else prediction
        task = self.bench.work.build("task", self.cell)
        shown = {}
        if hasattr(task, "picture"):
            both = {"truth": sample.truth, "prediction": prediction}
            shown = {"shown": {name: task.picture(answer, sample.image, vocabulary) for name, answer in both.items()}}
        return {
            **shown,
            "id": sample.id,
            "photo": sample.image,
            "drawing": drawing,
            "truth": sample.truth,
            "prediction": prediction,
            "text": sample.text,
            "attributes": dict(sample.attributes),
        }

    def _spec(self, kind: str, key: str) -> dict[str, Any]:
        return self.specs[f"{kind}/{key[:16]}"]


def read_photo(path: Path) -> np.ndarray:
    """A photograph as (H, W, 3) uint8. Raises BadData for a file that is none, or too large to be one."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            return np.array(opened.convert("RGB"))  # a copy, since tensors want to be writable
    except FileNotFoundError as missing:
        raise BadData(f"there is no photograph {path}") from missing
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError, ValueError) as broken:
        raise BadData(f"{path} cannot be read as a photograph: {broken}") from broken

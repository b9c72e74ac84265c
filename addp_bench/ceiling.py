"""The best score any model could reach through an encoding and a codec: truth, drawn, encoded, decoded, read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from addp_bench import evaluation
from addp_bench.cache import CHUNK, photos, queries, to_device, truth_of
from addp_bench.types import to_uint8

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addp_bench.protocols import DenoisingModel, Encoding, Evaluator, Samples, Task


def ceiling(
    samples: Samples,
    count: int,
    task: Task,
    encoding: Encoding,
    model: DenoisingModel,
    evaluator: Evaluator,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> evaluation.Scores:
    """Judge the first `count` truths after a round trip: drawn at the model's resolution, through its codec (the
    posterior's mode), rounded to 8 bits, decoded and compared with themselves."""

    def found() -> Iterator[evaluation.Answer]:
        side = model.resolution
        for first in range(0, count, CHUNK):
            chunk = range(first, min(first + CHUNK, count))
            loaded = [samples[i] for i in chunk]
            asked = [queries(encoding, sample, samples) for sample in loaded]
            owners = [k for k, several in enumerate(asked) for _ in several]
            truth = task.collate([truth_of(loaded[k], task, side) for k in owners])
            seen = photos([loaded[k] for k in owners], side).to(device)
            drawing = encoding.encode(seen, to_device(truth, device), [q for several in asked for q in several])
            with torch.no_grad():
                pictures = to_uint8(model.codec.decode(model.codec.encode(drawing.rgb)))
            for k, sample in enumerate(loaded):
                mine = pictures[[row for row, owner in enumerate(owners) if owner == k]]
                size = evaluator.drawing_size(sample)
                yield evaluation.Answer(sample, [evaluation.decode(mine, sample, asked[k], encoding, size)])
            progress(chunk.stop, count)

    return evaluation.score(found(), evaluator, (0,), 0)

"""What our training step and our sampler cost beyond a bare loop over the same network, in one process.

    python benchmarks/overhead.py [--steps 40] [--batch 32] [--threads N]

Both sides train the same UNet on the same cached latents with the same optimiser settings, and sample with the same
number of network evaluations. They run in turn, so that a machine whose speed drifts treats them alike; the ratio of
the medians is printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from diffusers import DDIMScheduler

from addp_bench import cache
from addp_bench.batches import Batches, Source
from addp_bench.cell import Cell
from addp_bench.loading import load
from addp_bench.progress import Progress
from addp_bench.resolve import resolve
from addp_bench.run import Bench
from addp_bench.sampling import guided
from addp_bench.spec import Request
from addp_bench.stages import Planner
from addp_bench.training import Trainer

SAMPLES = 256
Pairs = tuple[list[float], list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    loaded = load()
    request = Request(axes={"task": ["ris"]}, overrides={"train_samples": SAMPLES, "batch_size": asked.batch})
    with TemporaryDirectory() as folder:
        (cell,) = resolve(request, loaded.registry).cells
        plan = Planner(loaded.registry, Path(folder)).plan(cell)
        bench = Bench(loaded.registry, loaded.hooks, Path(folder), progress=Progress(quiet=True))
        latents_stage = plan.stages()[0]
        bench.store(latents_stage).ensure(latents_stage, lambda f: bench.work.do(latents_stage, f))
        latents = cache.Latents.open(bench.folder(latents_stage))
        report("training step", *training(bench, cell, latents, asked))
        report("sampling step", *sampling(bench, cell, latents, asked))


def training(bench: Bench, cell: Cell, latents: cache.Latents, asked: argparse.Namespace) -> Pairs:
    """Seconds of an optimiser step, batch and loss included: (ours, bare)."""
    ours, theirs = bench.work.model(cell), bench.work.model(cell)
    recipe = bench.work.recipe(cell, ours, None)
    samples, _ = bench.work.samples(cell, "train", SAMPLES)
    task, encoding = bench.work.build("task", cell), bench.work.build("encoding", cell)
    batches = Batches([Source(latents, samples, task, encoding)], ours, recipe, asked.batch, 0, torch.device("cpu"))
    trainer = Trainer(ours, recipe, cell.budget, "fp32")

    unet = theirs.network.train()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-4)
    ema = [p.detach().clone() for p in unet.parameters()]
    targets, images, text = latents.targets, latents.images, latents.text
    assert targets is not None
    assert text is not None
    signal = torch.tensor(ours.noise.alphas_cumprod, dtype=torch.float32)

    def bare() -> None:
        rows = torch.randint(len(latents), (asked.batch,)).tolist()
        x0 = torch.from_numpy(targets[rows])
        image = torch.from_numpy(images[[latents.index.image_of[latents.items[i].sample] for i in rows]])
        words = torch.from_numpy(text[[latents.index.prompt_of[i] for i in rows]])
        t = torch.randint(1000, (asked.batch,))
        a = signal[t].sqrt()[:, None, None, None]
        s = (1 - signal[t]).sqrt()[:, None, None, None]
        x_t = a * x0 + s * torch.randn_like(x0)
        output = unet(torch.cat([x_t, image], 1), t, encoder_hidden_states=words, return_dict=False)[0]
        loss = (output - x0).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        torch._foreach_lerp_(ema, [p.detach() for p in unet.parameters()], 0.01)

    def our_own() -> None:
        trainer.update(batches.batch(trainer.step, [None]))

    return in_turn(our_own, bare, asked.steps)


def sampling(bench: Bench, cell: Cell, latents: cache.Latents, asked: argparse.Namespace) -> Pairs:
    """Seconds of a trajectory of 10 guided steps for a batch: (ours, bare)."""
    model = bench.work.model(cell)
    network = model.network.eval()
    rows = list(range(asked.batch))
    image, text = latents.image(rows), latents.embedding(rows, model)
    null = model.embed([""])[0]
    sampler, guidance, target = (bench.work.build(k, cell) for k in ("sampler", "guidance", "target"))
    start = torch.randn(asked.batch, *model.codec.shape(model.resolution, model.resolution))
    steps = 10
    signal = model.noise.alphas_cumprod
    betas = 1 - signal / np.concatenate([[1.0], signal[:-1]])
    scheduler = DDIMScheduler(
        trained_betas=betas, prediction_type="sample", timestep_spacing="trailing", clip_sample=False
    )
    everything = torch.cat([text, null.expand_as(text), null.expand_as(text)])
    pictures = torch.cat([image, image, torch.zeros_like(image)])

    def our_own() -> None:
        denoise = guided(model, guidance, target, image, text, null, model.noise)
        sampler.trajectory(denoise, start, model.noise, steps, [("row", i) for i in rows])

    @torch.no_grad()
    def bare() -> None:
        scheduler.set_timesteps(steps)
        x = start
        for t in scheduler.timesteps:
            seen = torch.cat([torch.cat([x] * 3), pictures], 1)
            full, only_image, none = network(seen, t, encoder_hidden_states=everything, return_dict=False)[0].chunk(3)
            output = none + 1.5 * (only_image - none) + 3.0 * (full - only_image)
            x = scheduler.step(output, t, x, return_dict=False)[0]

    return in_turn(our_own, bare, max(3, asked.steps // steps))


def in_turn(ours: Callable[[], None], bare: Callable[[], None], repeats: int) -> Pairs:
    """Seconds of each call, (ours, bare), after one call of each that does not count."""
    taken: Pairs = ([], [])
    for turn in range(repeats + 1):
        for seconds, work in zip(taken, (ours, bare)):
            begun = time.perf_counter()
            work()
            if turn:
                seconds.append(time.perf_counter() - begun)
    return taken


def report(what: str, ours: list[float], bare: list[float]) -> None:
    ratio = statistics.median(ours) / statistics.median(bare)
    print(
        f"{what}: ours {1e3 * statistics.median(ours):.1f} ms, bare {1e3 * statistics.median(bare):.1f} ms, "
        f"ratio {ratio:.3f} ({len(ours)} pairs, {torch.get_num_threads()} threads)"
    )


if __name__ == "__main__":
    main()

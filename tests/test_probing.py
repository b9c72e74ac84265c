"""Features, and the linear layer that reads them, against numbers worked by hand and slower ways."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shades import Shades
from torch import nn

from addp_bench import probing
from addp_bench.baselines.folders import InstructPix2Pix
from addp_bench.cache import photos, posterior_noise
from addp_bench.errors import BadData, BadModel, BadPrediction
from addp_bench.plugins.transforms import Flip
from addp_bench.probing import Extraction, Features, alignment, chosen, closeness, extract, fit, renewed
from addp_bench.randomness import normal, permutation, uniform

SETTINGS = {"epochs": 15, "batch_size": 8, "lr": 0.05, "seed": 0}


def blobs(seed, count=60, width=5, classes=3, apart=4.0):
    """Features (N, 2 draws, width) round a centre for each class, and the classes."""
    rng = np.random.default_rng(seed)
    centres = np.eye(width)[:classes] * apart
    told = np.arange(count) % classes
    made = centres[told][:, None] + rng.normal(size=(count, 2, width)) * 0.3
    return torch.tensor(made, dtype=torch.float32), torch.from_numpy(told)


# ---------------------------------------------------------------------------------------------------- head


def test_what_a_line_separates_is_learnt_whole():
    head, losses = fit(*blobs(0), 3, **SETTINGS)
    assert head.accuracy(*blobs(1)) == 1.0
    assert losses[-1] < 0.1 * losses[0]


def test_shuffled_classes_give_chance():
    features, classes = blobs(0, 300)
    head, _ = fit(features, classes[permutation(300, "shuffled")], 3, **SETTINGS)
    others, told = blobs(1, 300)
    assert head.accuracy(others, told[permutation(300, "others")]) == pytest.approx(1 / 3, abs=0.1)


def reference(features, classes, count, *, epochs, batch_size, lr, seed):
    """The same training in numpy, float64: softmax gradients and Adam (Kingma and Ba, 2015) written out."""
    x, y, width = features.double().numpy(), classes.numpy(), features.shape[2]
    begin = (2 * uniform((count, width + 1), [("probe head", seed)])[0].numpy() - 1) / math.sqrt(width)
    m, v, step = np.zeros_like(begin), np.zeros_like(begin), 0
    for epoch in range(epochs):
        rate = lr * (1 + math.cos(math.pi * epoch / epochs)) / 2
        order = permutation(len(y), "probe order", seed, epoch).numpy()
        for start in range(0, len(y), batch_size):
            rows = order[start : start + batch_size]
            seen = np.concatenate([x[rows, epoch % x.shape[1]], np.ones((len(rows), 1))], 1)
            scores = seen @ begin.T
            soft = np.exp(scores - scores.max(1, keepdims=True))
            soft /= soft.sum(1, keepdims=True)
            soft[np.arange(len(rows)), y[rows]] -= 1
            gradient = soft.T @ seen / len(rows)
            step += 1
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            begin = begin - rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return begin


@pytest.mark.parametrize("count, batch_size, epochs", [(60, 8, 7), (61, 16, 4), (5, 128, 3)])
def test_it_is_trained_as_a_loop_in_numpy_trains_it(count, batch_size, epochs):
    settings = {"epochs": epochs, "batch_size": batch_size, "lr": 0.01, "seed": 3}
    features, classes = blobs(2, count)
    head, _ = fit(features, classes, 3, **settings)
    expected = reference(features, classes, 3, **settings)
    np.testing.assert_allclose(head.weight, expected[:, :-1], atol=2e-5)
    np.testing.assert_allclose(head.bias, expected[:, -1], atol=2e-5)


def test_it_begins_within_the_bounds_of_a_linear_layer_and_the_seed_decides():
    features, classes = blobs(0)
    first, again, other = (
        fit(features, classes, 3, epochs=1, batch_size=64, lr=1e-9, seed=s)[0].weight for s in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0.7 / math.sqrt(5) < first.abs().max() <= 1 / math.sqrt(5) + 1e-6


# --------------------------------------------------------------------------------------------- diagnostics


def test_alignment_and_closeness_by_hand():
    features = torch.tensor([[[2.0, 0.0], [0.0, 5.0]], [[0.0, 1.0], [0.0, 3.0]], [[-7.0, 0.0], [-1.0, 0.0]]])
    assert alignment(features) == pytest.approx([2.0, 0.0, 0.0]), "of length 1, (1, 0) and (0, 1) are sqrt 2 apart"
    right, opposite = math.exp(-4), math.exp(-8)  # of the first draws (1, 0), (0, 1), (-1, 0)
    assert closeness(features) == pytest.approx([(right + opposite) / 2, right, (right + opposite) / 2])


def test_alignment_is_the_mean_over_all_pairs_of_draws():
    features = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]])
    assert alignment(features) == pytest.approx([(2 + 2 + 4) / 3])
    assert np.isnan(alignment(features[:, :1])).all()
    assert np.isnan(closeness(features)).all(), "alone there is no pair"


def test_closeness_agrees_with_pair_by_pair_and_does_not_depend_on_its_blocks(monkeypatch):
    features = torch.randn(37, 2, 6, generator=torch.Generator().manual_seed(0))
    unit = (features[:, 0] / features[:, 0].norm(dim=1, keepdim=True)).double().numpy()
    slow = [np.mean([math.exp(-2 * ((a - b) ** 2).sum()) for j, b in enumerate(unit) if j != i])
            for i, a in enumerate(unit)]  # fmt: skip
    whole = closeness(features)
    np.testing.assert_allclose(whole, slow, atol=1e-7)
    monkeypatch.setattr(probing, "PAIRS", 5)
    np.testing.assert_allclose(closeness(features), whole, atol=1e-12)


# ------------------------------------------------------------------------------------------------ features


@pytest.fixture(scope="module")
def model(sd15: Path) -> InstructPix2Pix:
    model = InstructPix2Pix(str(sd15))
    model.network.eval()
    return model


@pytest.fixture
def how(model) -> Extraction:
    return Extraction(
        model, model.noise, model.embed([""]), model.layers, (0, 400), 2, "none", 0, (), "fp32", torch.device("cpu")
    )


SAMPLES = Shades().samples("train", "probe")


def told(sample):
    return sample.truth


def quiet(done, total):
    pass


def test_a_feature_is_a_mean_over_the_picture_of_what_the_network_gives_a_noised_latent(model, how, tmp_path):
    extract(tmp_path, SAMPLES, 3, how, told, quiet)
    found = Features.open(tmp_path)
    assert found.classes().tolist() == [0, 1, 2]
    assert list(found.widths) == ["out_1", "out_2", "out_3", "out_4"]
    name, t, draw = SAMPLES.ids[1], 400, 1
    photo = photos([SAMPLES[1]], model.resolution)
    x0 = model.codec.encode(photo, posterior_noise([name], (4, 8, 8)))
    a = float(model.noise.alphas_cumprod[t])
    x_t = math.sqrt(a) * x0 + math.sqrt(1 - a) * normal((4, 8, 8), [("probe noise", 0, name, draw)])
    block = model.network.up_blocks[1].attentions[0]
    kept = []
    hook = block.register_forward_hook(lambda module, inputs, output: kept.append(output[0]))
    with torch.no_grad():
        model.forward(x_t, torch.tensor([t]), torch.zeros_like(x0), model.embed([""]))
    hook.remove()
    np.testing.assert_allclose(found.at(t, "out_3")[1, draw], kept[0][0].mean((1, 2)), atol=1e-5)


def test_shards_and_batches_change_nothing(how, tmp_path, monkeypatch):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    extract(one, SAMPLES, 10, how, told, quiet)
    monkeypatch.setattr(probing, "SHARD", 4)
    extract(other, SAMPLES, 10, how, told, quiet, batch=3)
    assert len(list(other.glob("features-*.npy"))) == 3
    whole, cut = Features.open(one), None
    monkeypatch.setattr(probing, "SHARD", 256)
    first = {(t, layer): whole.at(t, layer) for t in (0, 400) for layer in whole.widths}
    classes = whole.classes()
    monkeypatch.setattr(probing, "SHARD", 4)
    cut = Features.open(other)
    for (t, layer), features in first.items():
        torch.testing.assert_close(cut.at(t, layer), features, atol=1e-5, rtol=0)
    assert torch.equal(cut.classes(), classes)


def test_what_was_finished_before_a_kill_is_not_made_again(how, tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "SHARD", 4)
    quiet_run = tmp_path / "quiet"
    killed = tmp_path / "killed"
    for folder in (quiet_run, killed):
        folder.mkdir()
    extract(quiet_run, SAMPLES, 10, how, told, quiet)

    class Killed(Exception):
        pass

    seen = []

    def dies(sample):
        if sample.id == SAMPLES.ids[5]:
            raise Killed
        return told(sample)

    with pytest.raises(Killed):
        extract(killed, SAMPLES, 10, how, dies, quiet)
    assert [f.name for f in killed.glob("features-*.npy")] == ["features-0000000.npy"]

    def notes(sample):
        seen.append(sample.id)
        return told(sample)

    extract(killed, SAMPLES, 10, how, notes, quiet)
    assert seen == SAMPLES.ids[4:10]
    for file in quiet_run.iterdir():
        assert (killed / file.name).read_bytes() == file.read_bytes(), file.name


def at_400(how, folder, count=6):
    folder.mkdir()
    extract(folder, SAMPLES, count, how, told, quiet)
    return Features.open(folder).at(400, "out_4")


def test_noise_is_drawn_anew_at_each_draw_and_the_seed_decides_it(how, tmp_path):
    first = at_400(how, tmp_path / "a")
    assert not torch.allclose(first[:, 0], first[:, 1], atol=1e-4)
    assert torch.equal(at_400(how, tmp_path / "b"), first)
    assert not torch.allclose(at_400(replace(how, seed=1), tmp_path / "c"), first, atol=1e-4)


def test_the_photograph_may_be_shown_beside_its_noisy_self(model, how, tmp_path):
    with torch.no_grad():
        model.network.conv_in.weight[:, 4:] += 0.1  # the network of a Stable Diffusion folder begins by ignoring it
    try:
        without, beside = (at_400(replace(how, image=image), tmp_path / image) for image in ("none", "photo"))
    finally:
        with torch.no_grad():
            model.network.conv_in.weight[:, 4:] -= 0.1
    assert not torch.allclose(without, beside, atol=1e-3)


def test_transforms_change_photographs_anew_at_each_draw(how, tmp_path):
    plain = at_400(how, tmp_path / "plain")
    always = at_400(replace(how, transforms=(Flip(share=1.0),)), tmp_path / "always")
    never = at_400(replace(how, transforms=(Flip(share=0.0),)), tmp_path / "never")
    some = at_400(replace(how, transforms=(Flip(share=0.5),)), tmp_path / "some")
    assert torch.equal(never, plain)
    mirrored = (some - plain).abs().amax(2) > 1e-6
    assert mirrored.any()
    assert not mirrored.all()
    torch.testing.assert_close(some, torch.where(mirrored[..., None], always, plain), atol=1e-5, rtol=0)
    assert (mirrored[:, 0] != mirrored[:, 1]).any(), "each draw has its own"


def test_an_empty_split_and_features_that_are_no_numbers_are_refused(how, tmp_path):
    with pytest.raises(BadData, match="the split holds no samples"):
        extract(tmp_path, SAMPLES, 0, how, told, quiet)
    with pytest.raises(BadPrediction, match="sample shades/train/0: the network gave features that are not finite"):
        extract(tmp_path, SAMPLES, 2, replace(how, text=how.text * math.nan), told, quiet)


# ------------------------------------------------------------------------------------------------- network


def test_a_renewed_network_has_other_weights_of_the_same_spread_and_the_seed_decides(sd15):
    networks = [InstructPix2Pix(str(sd15)).network for _ in range(4)]
    published, first, again, other = networks
    for network, seed in ((first, 0), (again, 0), (other, 1)):
        renewed(network, seed)
    for (name, a), (_, b), (_, c), (_, d) in zip(*(n.named_parameters() for n in networks)):
        assert torch.equal(b, c), name
        if "norm" not in name:
            assert not torch.equal(a, b), name
            assert not torch.equal(b, d), name
    fresh = type(published)(**published.config)  # as diffusers begins one
    for (name, a), (_, b) in zip(fresh.named_parameters(), first.named_parameters()):
        if a.numel() > 200:
            assert b.std().item() == pytest.approx(a.std().item(), rel=0.15, abs=1e-6), name


def test_a_weight_that_cannot_begin_anew_is_refused():
    class Scaled(nn.Linear):
        pass

    network = nn.Sequential(Scaled(2, 2))
    network.register_parameter("gain", nn.Parameter(torch.ones(1)))
    with pytest.raises(BadModel, match="gain cannot be given new weights"):
        renewed(network, 0)


def test_the_world_outside_keeps_its_random_numbers():
    layer = nn.Linear(2, 2)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    renewed(layer, 0)
    assert torch.equal(torch.rand(1), expected)


# ------------------------------------------------------------------------------------------------ choosing


class Made:
    """Stands beside `Features` with numbers from memory."""

    def __init__(self, by_place, told):
        self.by_place, self.told = by_place, told
        self.timesteps = tuple(dict.fromkeys(t for t, _ in by_place))

    def at(self, t, layer):
        return self.by_place[t, layer]

    def classes(self):
        return self.told


def test_the_layer_and_timestep_that_do_best_on_what_was_kept_apart_are_taken():
    good, classes = blobs(0)
    there, told_there = blobs(1)
    bad = torch.zeros_like(good)
    # perfect on what is trained on, useless on what was kept apart: must lose
    tricky = torch.zeros_like(there)
    train = Made({(0, "out_1"): bad, (0, "out_2"): good, (9, "out_1"): good, (9, "out_2"): good}, classes)
    apart = Made({(0, "out_1"): bad, (0, "out_2"): tricky, (9, "out_1"): there, (9, "out_2"): there}, told_there)
    best, head, tried = chosen(train, apart, ["out_1", "out_2"], 3, SETTINGS, quiet)
    assert (best.layer, best.t, best.accuracy) == ("out_1", 9, 1.0), "of equals the first"
    assert [(one.layer, one.t) for one in tried] == [("out_1", 0), ("out_2", 0), ("out_1", 9), ("out_2", 9)]
    assert tried[1].accuracy == pytest.approx(1 / 3)
    assert head.accuracy(there, told_there) == 1.0


def test_where_there_is_no_choice_nothing_is_kept_apart():
    features, classes = blobs(0)
    best, _, tried = chosen(Made({(4, "out_2"): features}, classes), None, ["out_2"], 3, SETTINGS, quiet)
    assert (best.layer, best.t, best.accuracy) == ("out_2", 4, None)
    assert tried == [best]

"""Every plugin of the diffusion heart announces itself, with options that are explained and defaults that build."""

import pytest

from addp_bench.plugins import (
    corruptions,
    corruptions_boxes,
    corruptions_depth,
    corruptions_labels,
    drawn_weights,
    exposures,
    guidance,
    interval_weights,
    noise,
    objectives,
    samplers,
    schedules,
    targets,
    transforms,
    weights,
)
from addp_bench.registry import Registry

MODULES = [corruptions, corruptions_boxes, corruptions_depth, corruptions_labels, drawn_weights, exposures, guidance]
MODULES += [interval_weights, noise, objectives, samplers, schedules, targets, transforms, weights]
NAMES = {
    "weights": [
        "ant",
        "diffusion",
        "edm",
        "last_group",
        "logit_normal",
        "min_snr",
        "p2",
        "perception_stats",
        "shuffled_stats",
        "soft_truncation",
        "speed",
        "uniform",
    ],
    "aug": ["constant", "linear", "none", "tada"],
    "corruption": ["blur", "color", "drop_boxes", "jitter_boxes", "location", "relabel", "shape", "shift_labels"],
    "transform": ["crop", "flip", "photometric"],
    "exposure": ["epsilon_scaling", "input_perturbation", "none", "rollout"],
    "target": ["epsilon", "epsilon_corrected", "flow", "v", "x0"],
    "noise": ["cosine", "flow", "linear", "scaled_linear"],
    "objective": ["masked_mse", "mse"],
    "sampler": ["ddim", "ddpm", "dpm_solver", "euler_ancestral"],
    "guidance": ["correctional", "image_text", "instructdiffusion", "none"],
}
ALIASES = {
    ("weights", "diffusion_c2"): "diffusion",
    ("weights", "perception_stats_c2"): "perception_stats",
    ("weights", "mlt"): "ant",
    ("target", "eps"): "epsilon",
    ("exposure", "ddpm_ip"): "input_perturbation",
    ("exposure", "DDPM-IP"): "input_perturbation",
}


@pytest.fixture
def registry():
    filled = Registry()
    for module in MODULES:
        module.addp_bench_register(filled)
    return filled


@pytest.mark.parametrize("kind", NAMES)
def test_every_kind_has_its_names_at_least(registry, kind):
    assert set(NAMES[kind]) <= set(registry.names(kind))


@pytest.mark.parametrize("asked", ALIASES)
def test_aliases_lead_to_the_plugin(registry, asked):
    assert registry.get(*asked).name == ALIASES[asked]


def test_every_plugin_builds_with_its_defaults_and_says_what_it_is(registry):
    for entry in registry.entries():
        registry.build(entry.kind, entry.name)
        assert entry.words.split("\n")[0].endswith("."), entry.name


def test_every_option_is_explained(registry):
    silent = [f"{e.kind} {e.name} {o.name}" for e in registry.entries() for o in e.options if not o.words]
    assert silent == []


def test_options_arrive_by_their_names(registry):
    assert registry.build("weights", "perception_stats:from=a.json:floor_rule=exact").from_ == "a.json"
    assert registry.build("weights", "speed:lambda=0.7").lambda_ == 0.7
    assert registry.build("guidance", "image_text:image=1:text=2").coefficients()["full", "full"] == 2.0
    assert registry.build("noise", "scaled_linear:zero_snr=true").alphas_cumprod[-1] == 0

"""How published depth figures are made, by dataset: beside the judge what is asked of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from addp_bench.types import ProtocolCard

# prs-eth/Marigold as of CVPR 2024 (v1.0): 50 DDIM steps, ensembles of 10, photographs at their own size except for
# ETH3D's and DIODE's. Its seed is of another generator and is not asked for.
_PAPER = ProtocolCard("", steps=50, ensemble=10, resolution="native")
MARIGOLD: Mapping[str, ProtocolCard] = {
    "nyuv2": replace(_PAPER, judge="nyuv2", split="test"),
    "kitti": replace(_PAPER, judge="kitti", split="test"),
    "eth3d": replace(_PAPER, judge="eth3d", split="test", resolution=756),
    "scannet": replace(_PAPER, judge="scannet", split="val"),
    "diode": replace(_PAPER, judge="diode", split="val", resolution=640),
}
# The same judges after alignment in disparity; steps, answers and sizes are the model's to say
_DISPARITY = {
    "nyuv2": "nyuv2_lotus",
    "kitti": "kitti_lotus",
    "eth3d": "eth3d_lotus",
    "scannet": "scannet_lotus",
    "diode": "diode_lotus",
}
CARDS: Mapping[str, Mapping[str, ProtocolCard]] = {
    "marigold": MARIGOLD,
    "addp": MARIGOLD,  # ADDP states 50 DDIM steps, and otherwise Marigold's hyper-parameters
    "lotus": {name: ProtocolCard(judge, split=MARIGOLD[name].split) for name, judge in _DISPARITY.items()},
    # 100 steps at 512 pixels; which of NYUv2's photographs were judged is not told
    "instructcv_compat": {"nyuv2": ProtocolCard("nyuv2_instructcv_compat", steps=100, resolution=512)},
}

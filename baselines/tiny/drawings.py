"""Photographs, and every kind of drawing over them, for the autoencoder to learn to keep.

The tasks' own encodings are not used here: the autoencoder comes before any task, and has to be faithful to drawings
that nobody has thought of yet. Masks are therefore distorted, joined and cut, and colours are drawn at random.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .pool import Scenes

CORNERS = torch.tensor([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)]) * 255.0  # the drawing colours
KINDS = (  # name, share
    ("photo", 0.22),
    ("painted", 0.36),  # one region in a drawing colour
    ("blended", 0.03),
    ("binary", 0.08),
    ("gray_depth", 0.09),
    ("coloured_depth", 0.04),
    ("palette", 0.08),
    ("outline", 0.06),
    ("box", 0.04),
)


def draw(scenes: Scenes, rows: Tensor, generator: torch.Generator, border: float = 3.0) -> tuple[Tensor, Tensor]:
    """Random drawings of the scenes in `rows` (B,).

    Returns pictures (B, 3, H, W) float32 in [0, 255] and emphasis (B, 1, H, W) float32 >= 1: 1 more inside regions of
    one colour, `border` more where a drawn region begins or ends.
    """
    image = scenes.images[rows].permute(0, 3, 1, 2).float()
    depth, instance, labels = scenes.depth[rows].float(), scenes.instance[rows].long(), scenes.classes[rows].long()
    flip = torch.rand(len(rows), generator=generator) < 0.5
    image, depth, instance = (torch.where(_rows(flip, x), x.flip(-1), x) for x in (image, depth, instance))
    kinds = torch.multinomial(torch.tensor([share for _, share in KINDS]), len(rows), True, generator=generator)
    region = regions(instance, generator)
    inked = region.clone()  # where a pixel has a pure colour
    out = image.clone()
    ink = CORNERS[torch.randint(8, (len(rows),), generator=generator)][:, :, None, None]
    for number, (name, _) in enumerate(KINDS):
        rows_of = (kinds == number).nonzero()[:, 0]
        if name == "photo" or not len(rows_of):
            inked[rows_of] = False
            continue
        picture, mask, colour = image[rows_of], region[rows_of], ink[rows_of]
        if name == "painted":
            drawn = torch.where(mask[:, None], colour, picture)
        elif name == "blended":
            share = _uniform(len(rows_of), 0.3, 0.7, generator)
            drawn = torch.where(mask[:, None], share * picture + (1 - share) * colour, picture)
        elif name == "binary":
            one, two = _two_colours(len(rows_of), generator)
            drawn = torch.where(mask[:, None], one, two)
        elif name in ("gray_depth", "coloured_depth"):
            height = normalised(depth[rows_of], generator)[:, None]
            drawn = height.expand(-1, 3, -1, -1) if name == "gray_depth" else colour_map(height, generator)
            inked[rows_of] = False
        elif name == "palette":
            drawn, inked[rows_of] = palettes(instance[rows_of], labels[rows_of], picture, generator)
        else:
            mask = boxes(mask, generator, outline=name == "outline")
            drawn = torch.where(mask[:, None], colour, picture)
            inked[rows_of] = mask
        out[rows_of] = drawn
    return out, 1 + 1.0 * inked[:, None] + border * edges(inked)[:, None]


def regions(instance: Tensor, generator: torch.Generator) -> Tensor:
    """Regions (B, H, W) bool: one or two solids, whole, distorted, erased in part, or half-planes, or everything."""
    count = instance.amax((1, 2)).clamp(min=1).float()
    first = (torch.rand(len(instance), generator=generator) * count).long() + 1
    second = (torch.rand(len(instance), generator=generator) * count).long() + 1
    second = torch.where(torch.rand(len(instance), generator=generator) < 0.25, second, first)
    region = (instance == first[:, None, None]) | (instance == second[:, None, None])
    chance = torch.rand(len(instance), generator=generator)
    region = torch.where(_rows(chance < 0.35, region), distorted(region, generator), region)
    region = torch.where(
        _rows((chance > 0.30) & (chance < 0.45), region), region & ~half_plane(region, generator), region
    )
    region = torch.where(_rows((chance > 0.93) & (chance < 0.99), region), half_plane(region, generator), region)
    return torch.where(_rows(chance > 0.99, region), torch.ones_like(region), region)


def distorted(region: Tensor, generator: torch.Generator) -> Tensor:
    """Each region (B, H, W) turned, stretched and moved by a random affine map."""
    batch = len(region)
    turn = _uniform(batch, -math.pi, math.pi, generator).view(-1) * 0.25
    stretch = _uniform(2 * batch, 0.7, 1.5, generator).view(batch, 2)
    shift = _uniform(2 * batch, -0.4, 0.4, generator).view(batch, 2)
    row_x = torch.stack([turn.cos() * stretch[:, 0], -turn.sin() * stretch[:, 0], shift[:, 0]], 1)
    row_y = torch.stack([turn.sin() * stretch[:, 1], turn.cos() * stretch[:, 1], shift[:, 1]], 1)
    grid = F.affine_grid(torch.stack([row_x, row_y], 1), [batch, 1, *region.shape[1:]], align_corners=False)
    return F.grid_sample(region[:, None].float(), grid, align_corners=False)[:, 0] > 0.5


def half_plane(like: Tensor, generator: torch.Generator) -> Tensor:
    """One side of a random line (B, H, W) bool."""
    height, width = like.shape[1:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    angle = _uniform(len(like), 0, 2 * math.pi, generator)[:, 0]
    offset = _uniform(len(like), -0.5, 0.5, generator)[:, 0]
    return x * angle.cos() + y * angle.sin() > offset


def boxes(region: Tensor, generator: torch.Generator, *, outline: bool) -> Tensor:
    """The regions' bounding boxes (B, H, W) bool, filled or as outlines of two pixels."""
    height, width = region.shape[1:]
    columns, lines = region.any(1), region.any(2)  # (B, W), (B, H)
    x, y = torch.arange(width), torch.arange(height)
    x0, x1 = _ends(columns, x)
    y0, y1 = _ends(lines, y)
    inside_x = (x >= x0[:, None]) & (x <= x1[:, None])
    inside_y = (y >= y0[:, None]) & (y <= y1[:, None])
    box = inside_y[:, :, None] & inside_x[:, None, :]
    if not outline:
        return box
    core_x = (x >= x0[:, None] + 2) & (x <= x1[:, None] - 2)
    core_y = (y >= y0[:, None] + 2) & (y <= y1[:, None] - 2)
    return box & ~(core_y[:, :, None] & core_x[:, None, :])


def palettes(instance: Tensor, labels: Tensor, image: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A colour for each class, or for each solid: pictures (B, 3, H, W), and where they are drawn (B, H, W) bool.

    Half the colours are drawing colours, the rest have channels among 0, 128 and 255. One picture in four keeps the
    photograph as its background.
    """
    batch, slots = len(instance), 8
    corner = CORNERS[torch.randint(8, (batch, slots), generator=generator)]
    other = torch.randint(3, (batch, slots, 3), generator=generator) * 127.5
    colours = torch.where(torch.rand(batch, 1, 1, generator=generator) < 0.6, corner, other.ceil())
    by_class = torch.rand(batch, 1, 1, generator=generator) < 0.7
    classes = torch.cat([torch.zeros(batch, 1, dtype=torch.long), labels], 1).gather(1, instance.flatten(1))
    index = torch.where(by_class, classes.view_as(instance), instance)
    drawn = colours.gather(1, index.flatten(1)[:, :, None].expand(-1, -1, 3)).transpose(1, 2).view_as(image)
    kept = _rows(torch.rand(batch, generator=generator) < 0.25, index) & (index == 0)
    return torch.where(kept[:, None], image, drawn), ~kept


def normalised(depth: Tensor, generator: torch.Generator) -> Tensor:
    """Depths (B, H, W) as gray in [0, 255], linear, logarithmic or inverse, from the 2nd to the 98th percentile."""
    form = torch.randint(4, (len(depth), 1, 1), generator=generator)
    value = torch.where(form == 2, depth.log(), torch.where(form == 3, -1 / depth, depth))
    low, high = (value.flatten(1).quantile(q, 1)[:, None, None] for q in (0.02, 0.98))
    gray = ((value - low) / (high - low)).clamp(0, 1) * 255
    return torch.where(_rows(torch.rand(len(depth), generator=generator) < 0.2, gray), 255 - gray, gray)


def colour_map(gray: Tensor, generator: torch.Generator) -> Tensor:
    """Gray (B, 1, H, W) in [0, 255] through a smooth random map: (B, 3, H, W) in [0, 255]."""
    phase = torch.rand(len(gray), 3, 1, 1, generator=generator) * 2 * math.pi
    turns = _uniform(len(gray), 0.4, 1.0, generator) * math.pi
    return 127.5 + 127.5 * torch.sin(gray / 255 * 2 * turns + phase)


def edges(region: Tensor) -> Tensor:
    """Pixels (B, H, W) float of either side of a region's border."""
    value = region[:, None].float()
    return (F.max_pool2d(value, 3, 1, 1) + F.max_pool2d(-value, 3, 1, 1))[:, 0]


def _rows(chosen: Tensor, like: Tensor) -> Tensor:
    return chosen.view(-1, *[1] * (like.ndim - 1))


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)


def _two_colours(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """White on black twice in three times, else two different drawing colours; each (count, 3, 1, 1)."""
    one = torch.randint(8, (count,), generator=generator)
    two = (one + 1 + torch.randint(7, (count,), generator=generator)) % 8
    usual = torch.rand(count, generator=generator) < 0.67
    one, two = torch.where(usual, 7, one), torch.where(usual, 0, two)
    return CORNERS[one][:, :, None, None], CORNERS[two][:, :, None, None]


def _ends(present: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """First and last true position of each row (B, N) bool; an empty row gives a first after its last."""
    far = len(positions)
    return torch.where(present, positions, far).amin(1), torch.where(present, positions, -1).amax(1)

"""Boxes painted into pictures, in whole pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from addp_bench.types import Boxes, Drawing

if TYPE_CHECKING:
    from torch import Tensor

Colour = tuple[int, int, int]  # 0..255 RGB


class Rectangle:
    """One box of each of B pictures, in whole pixels: left, top, right, bottom (B,), the far edges exclusive.

    A box is at least one pixel wide and high, and lies in the picture. there (B,) bool: False draws nothing.
    """

    def __init__(self, xyxy: Tensor, there: Tensor, size: tuple[int, int]) -> None:
        height, width = size
        x0, y0, x1, y1 = xyxy.round().long().unbind(-1)
        self.left, self.top = x0.clamp(0, width - 1), y0.clamp(0, height - 1)
        self.right = x1.clamp(max=width).maximum(self.left + 1)
        self.bottom = y1.clamp(max=height).maximum(self.top + 1)
        self.there, self.size = there, size

    def inside(self, inset: int = 0) -> Tensor:
        """Pixels (B, H, W) bool at least `inset` from every edge; none may be left."""
        import torch

        y, x = (torch.arange(side, device=self.left.device) for side in self.size)
        columns = (x >= self.left[:, None] + inset) & (x < self.right[:, None] - inset)
        rows = (y >= self.top[:, None] + inset) & (y < self.bottom[:, None] - inset)
        return rows[:, :, None] & columns[:, None, :] & self.there[:, None, None]


def rectangles(boxes: Boxes, chosen: Tensor) -> Iterator[tuple[Rectangle, Tensor]]:
    """The chosen (B, N) boxes of every picture, the largest first, with their places (B,) among the N."""
    import torch

    sides = (boxes.xyxy[..., 2:] - boxes.xyxy[..., :2]).clamp(min=0)
    order = torch.where(chosen, sides.prod(-1), -1.0).argsort(dim=1, descending=True, stable=True)
    row = torch.arange(len(order), device=order.device)
    for place in order[:, : int(chosen.sum(1).max()) if chosen.numel() else 0].unbind(1):
        yield Rectangle(boxes.xyxy[row, place], chosen[row, place], boxes.size), place


def filled(
    ground: Tensor,
    boxes: Boxes,
    chosen: Tensor,
    colours: Sequence[Colour],
    edge: int,
    edge_colour: Colour,
    labels: Tensor | None = None,
) -> Drawing:
    """The chosen (B, N) boxes on pictures (B, 3, H, W), smaller ones on larger. labels (B, N): which of the colours."""
    import torch

    rgb, painted = ground.clone(), torch.zeros_like(ground[:, 0], dtype=torch.bool)
    paints = ground.new_tensor([*colours, edge_colour]) / 127.5 - 1.0
    row = torch.arange(len(ground), device=ground.device)
    for box, place in rectangles(boxes, chosen):
        paint = paints[labels[row, place]] if labels is not None else paints[:1].expand(len(ground), -1)
        whole = box.inside()
        rgb = torch.where(whole[:, None], paints[-1].view(3, 1, 1) if edge else paint[:, :, None, None], rgb)
        rgb = torch.where(box.inside(edge)[:, None], paint[:, :, None, None], rgb)
        painted |= whole
    return Drawing(rgb, painted=painted)

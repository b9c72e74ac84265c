"""CIFAR-10 and Tiny-ImageNet in small, in their exact layouts on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

WNIDS = ("n02124075", "n01443537", "n04067472")  # in an order of their own, as published
WORDS = {"n01443537": "goldfish, Carassius auratus", "n02124075": "crane", "n04067472": "crane, derrick"}


def record(label: int, picture: np.ndarray) -> bytes:
    """A record of CIFAR-10: the class, then red, green and blue, row by row. picture (32, 32, 3) uint8."""
    return bytes([label]) + b"".join(picture[..., channel].tobytes() for channel in range(3))


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def cifar10(folder: Path) -> Path:
    """Eight photographs in each batch."""
    folder.mkdir(parents=True)
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")
    (folder / "readme.html").write_text("<html/>")
    for k in range(6):
        name = f"data_batch_{k + 1}.bin" if k < 5 else "test_batch.bin"
        rows = [record((k + i) % 10, picture(8 * k + i)) for i in range(8)]
        (folder / name).write_bytes(b"".join(rows))
    return folder


def tiny_imagenet(root: Path) -> Path:
    """Three classes of eleven photographs, one of them grey, and three to judge."""
    (root / "val" / "images").mkdir(parents=True)
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    others = "n00000001\tentity\n"
    (root / "words.txt").write_text(others + "".join(f"{wnid}\t{words}\n" for wnid, words in WORDS.items()))
    for wnid in WNIDS:
        folder = root / "train" / wnid / "images"
        folder.mkdir(parents=True)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("")
        for i in range(11):
            shade = 20 * i
            Image.new("L" if i == 3 else "RGB", (64, 64), shade if i == 3 else (shade, 0, 0)).save(
                folder / f"{wnid}_{i}.JPEG"
            )
    lines = []
    for i, wnid in enumerate((WNIDS[2], WNIDS[0], WNIDS[1])):
        Image.new("RGB", (64, 64), (0, 80 * i, 0)).save(root / "val" / "images" / f"val_{i}.JPEG")
        lines.append(f"val_{i}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    return root

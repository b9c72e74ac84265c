"""RefCOCO, RefCOCO+ and RefCOCOg: photographs of COCO train2014 with expressions people wrote for one object each.

Nothing is downloaded; the annotation archives and the photographs are expected in the layout of lichengunc/refer:

    <path>/refcoco/   instances.json  refs(unc).p  refs(google).p
    <path>/refcoco+/  instances.json  refs(unc).p
    <path>/refcocog/  instances.json  refs(umd).p  refs(google).p
    <path>/images/mscoco/images/train2014/  or  <path>/images/train2014/
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from addp_bench.errors import BadData, unknown
from addp_bench.hookspecs import hookimpl
from addp_bench.types import About, Card, Sample

from .holding_out import held_out
from .refer_files import (
    Merge,
    Objects,
    Outline,
    Photograph,
    Reference,
    Sentence,
    image_folder,
    mask_of,
    read_photograph,
    read_photographs,
    read_references,
    sentences_of,
)

if TYPE_CHECKING:
    from addp_bench.registry import Registry

log = logging.getLogger(__name__)

Text = Literal["sent", "raw"]

GAME = "Kazemzadeh et al., ReferItGame, EMNLP 2014; Yu et al., Modeling Context in Referring Expressions, ECCV 2016"

# (images, references, sentences) of the published splits, by dataset and partition
COUNTS: Mapping[tuple[str, str], Mapping[str, tuple[int, int, int]]] = {
    ("refcoco", "unc"): {
        "train": (16994, 42404, 120624),
        "val": (1500, 3811, 10834),
        "testA": (750, 1975, 5657),
        "testB": (750, 1810, 5095),
    },
    ("refcocoplus", "unc"): {
        "train": (16992, 42278, 120191),
        "val": (1500, 3805, 10758),
        "testA": (750, 1975, 5726),
        "testB": (750, 1798, 4889),
    },
    ("refcocog", "umd"): {"train": (21899, 42226, 80512), "val": (1300, 2573, 4896), "test": (2600, 5023, 9602)},
    ("refcocog", "google"): {"train": (24698, 44822, 85474), "val": (4650, 5000, 9536)},
}


def _about(folder: str, citation: str) -> About:
    return About(
        licence="annotations Apache-2.0 (lichengunc/refer); photographs under COCO's and Flickr's terms",
        citation=citation,
        access=f"{folder}.zip (lichengunc/refer; mirrors in its issue 14) and COCO train2014; no registration",
        size="about 13 GB of photographs (as commonly stated)",
    )


class Referring:
    """What the three datasets share. Every sentence is a sample; sentences on one photograph are one cluster.

    Splits are the published ones, and two parts of `train`: `stats`, one photograph in twenty chosen by a hash of its
    id, and `train_fit`, the rest. By default a cell trains on `train_fit`, so that statistics are measured on
    photographs it has not seen; papers train on `train`. The three datasets share photographs: val and test of one
    are in train of another.
    """

    tasks: ClassVar[Sequence[str]] = ("ris",)
    name: ClassVar[str]
    folder: ClassVar[str]
    about: About

    def __init__(self, path: str, split_by: str, text: Text, mask_merge: Merge) -> None:
        self.root = Path(path).expanduser()
        self.split_by, self.text, self.mask_merge = split_by, text, mask_merge
        sentences = {split: count for split, (*_, count) in COUNTS.get((self.name, split_by), {}).items()}
        self.about = replace(self.about, published=sentences)

    def splits(self) -> Sequence[str]:
        """The published splits of this partition (else those in its file), and `train_fit` and `stats`."""
        published = COUNTS.get((self.name, self.split_by))
        found = list(published or dict.fromkeys(reference.split for reference in self._references))
        return [*found, "train_fit", "stats"] if "train" in found else found

    def default_split(self, purpose: str) -> str:
        """`train_fit` to train on, `stats` to measure on, `val` to judge on."""
        defaults = {"train": "train_fit", "stats": "stats", "eval": "val"}
        if purpose not in defaults:
            raise unknown("purpose of a split", purpose, defaults)
        return defaults[purpose]

    def samples(self, split: str, task: str) -> Expressions:
        """The sentences of a split. Files of annotations are read and checked, photographs are only looked for.

        Raises UnknownName for the split or task, BadData for files that are missing or broken and for an empty split.
        """
        if task not in self.tasks:
            raise unknown(f"task of dataset {self.name}", task, self.tasks)
        references = self._split(split)
        if not references:
            raise BadData(f"{self._references_file} holds no reference of split {split!r}.")
        self._compare_counts(split, references)
        folder = image_folder(self.root)
        present = {file.name for file in folder.iterdir()}
        targets = []
        for reference in references:
            photograph, outline = self._target(reference)
            if photograph.file_name not in present:
                raise BadData(f"{folder / photograph.file_name} is missing; it belongs to COCO train2014.")
            targets.append((photograph, outline))
        return Expressions(self, split, references, targets, folder)

    def card(self) -> Card:
        """Counts are sentences. The fingerprint covers the annotation files, the options, and names and sizes in bytes
        of the photographs that references speak of: another selection or other copies of them are other data.

        Raises BadData as `samples` does; a photograph that is missing is named there.
        """
        counts = {split: sum(1 for _ in sentences_of(self._split(split))) for split in self.splits()}
        digest = hashlib.sha256(f"{self.name} {self.split_by} {self.text} {self.mask_merge}".encode())
        for file in (self._references_file, self._instances_file):
            if not file.is_file():
                raise BadData(f"{file} is missing; it belongs to the annotation archive of the dataset.")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        digest.update(repr(self._sizes()).encode())
        return self.about.card(self.name, counts, digest.hexdigest())

    def protocol(self, task: str) -> str:
        """512 x 512, as in `refcoco` of task `ris`."""
        return "refcoco"

    def _sizes(self) -> list[tuple[str, int | None]]:
        """Name and bytes of every photograph that is spoken of, None for one that is not there."""
        spoken_of = {reference.image_id for reference in self._references}
        names = {photograph.file_name for image_id, photograph in self._photographs.items() if image_id in spoken_of}
        sizes: dict[str, int] = {}
        with suppress(BadData), os.scandir(image_folder(self.root)) as files:  # without a folder, `samples` says so
            sizes = {file.name: file.stat().st_size for file in files if file.name in names}
        return [(name, sizes.get(name)) for name in sorted(names)]

    @property
    def _references_file(self) -> Path:
        return self.root / self.folder / f"refs({self.split_by}).p"

    @property
    def _instances_file(self) -> Path:
        return self.root / self.folder / "instances.json"

    @cached_property
    def _references(self) -> Sequence[Reference]:
        if not self.root.is_dir():
            raise BadData(
                f"no folder {self.root}; give dataset {self.name} the folder that holds {self.folder}/ and images/."
            )
        return read_references(self._references_file)

    @cached_property
    def _photographs(self) -> Mapping[int, Photograph]:
        return read_photographs(self._instances_file)

    @cached_property
    def _outlines(self) -> dict[int, tuple[int, Outline]]:
        """Outlines by annotation id, each with the id of its photograph."""
        return {outline.id: (image_id, outline) for image_id, p in self._photographs.items() for outline in p.outlines}

    def _split(self, split: str) -> Sequence[Reference]:
        if split not in self.splits():
            raise unknown(f"split of {self.name} ({self.split_by})", split, self.splits())
        if split not in ("train_fit", "stats"):
            return [reference for reference in self._references if reference.split == split]
        train = [reference for reference in self._references if reference.split == "train"]
        apart = held_out("refcoco stats", (reference.image_id for reference in train))
        return [reference for reference in train if (reference.image_id in apart) == (split == "stats")]

    def _target(self, reference: Reference) -> tuple[Photograph, Outline]:
        image_id, outline = self._outlines.get(reference.ann_id, (None, None))
        if outline is None or image_id != reference.image_id:
            found = "it is not there" if outline is None else f"it belongs to image {image_id}"
            raise BadData(
                f"reference {reference.ref_id} of {self._references_file} means annotation {reference.ann_id} of image "
                f"{reference.image_id} in {self._instances_file}, but {found}; the two files are not of one release."
            )
        return self._photographs[reference.image_id], outline

    def _compare_counts(self, split: str, references: Sequence[Reference]) -> None:
        published = COUNTS.get((self.name, self.split_by), {}).get(split)
        images = len({reference.image_id for reference in references})
        found = (images, len(references), sum(1 for _ in sentences_of(references)))
        if published is not None and found != published:
            log.warning(
                "%s %s %s: %d images, %d references, %d sentences; published are %d, %d, %d",
                *(self.name, self.split_by, split, *found, *published),
            )


class Expressions:
    """The sentences of one split; see protocols.Samples. A sample's truth has its photograph's own size."""

    def __init__(
        self,
        dataset: Referring,
        split: str,
        references: Sequence[Reference],
        targets: Sequence[tuple[Photograph, Outline]],
        folder: Path,
    ) -> None:
        self._text, self._merge, self._folder = dataset.text, dataset.mask_merge, folder
        self._rows: list[tuple[Sentence, Photograph, Outline]] = []
        self.ids: list[str] = []
        self.image_ids: list[str] = []
        for reference, (photograph, outline) in zip(references, targets):
            for sentence in reference.sentences:
                self.ids.append(f"{dataset.name}/{dataset.split_by}/{split}/{reference.ref_id}/{sentence.sent_id}")
                self.image_ids.append(f"coco/{reference.image_id}")
                self._rows.append((sentence, photograph, outline))
        if len(set(self.ids)) < len(self.ids):
            ((twice, _),) = Counter(self.ids).most_common(1)
            raise BadData(f"{dataset._references_file}: two sentences would be sample {twice}.")

    def __len__(self) -> int:
        return len(self._rows)

    def text(self, index: int) -> str:
        """The words of a sentence, as the option `text` says."""
        sentence = self._rows[index][0]
        return sentence.sent if self._text == "sent" else sentence.raw

    def __getitem__(self, index: int) -> Sample:
        """Opens the photograph. Raises BadData, naming the file."""
        _, photograph, outline = self._rows[index]
        file = self._folder / photograph.file_name
        image = read_photograph(file, photograph)
        truth = mask_of(outline, photograph, self._merge, str(file))
        if not truth.any():
            raise BadData(f"{file}, annotation {outline.id}: its polygons cover no pixel.")
        text = self.text(index)
        return Sample(
            id=self.ids[index],
            image_id=self.image_ids[index],
            image=image,
            truth=truth,
            text=text,
            hints=Objects(photograph, self._merge, str(file)),
            attributes={"category": outline.category, "words": len(text.split()), "share": float(truth.mean())},
        )


class RefCoco(Referring):
    """RefCOCO: short expressions of a two-player game, words of place allowed; testA people, testB everything else.

    path: folder that holds refcoco/ and images/. split_by: unc or google.
    text: sent (cleaned, as CRIS and InstructDiffusion feed it) or raw (as typed, as LAVT and ReLA do).
    mask_merge: or (union of an object's polygons) or eq1 (pixels covered once, as LAVT's loader).
    """

    name = "refcoco"
    folder = "refcoco"
    about = _about(folder, GAME)

    def __init__(
        self, path: str, split_by: Literal["unc", "google"] = "unc", text: Text = "sent", mask_merge: Merge = "or"
    ) -> None:
        super().__init__(path, split_by, text, mask_merge)


class RefCocoPlus(Referring):
    """RefCOCO+: as RefCOCO, with words of place forbidden; testA people, testB everything else.

    path: folder that holds refcoco+/ and images/. split_by: unc.
    text: sent (cleaned, as CRIS and InstructDiffusion feed it) or raw (as typed, as LAVT and ReLA do).
    mask_merge: or (union of an object's polygons) or eq1 (pixels covered once, as LAVT's loader).
    """

    name = "refcocoplus"
    folder = "refcoco+"
    about = _about(folder, GAME)

    def __init__(
        self, path: str, split_by: Literal["unc"] = "unc", text: Text = "sent", mask_merge: Merge = "or"
    ) -> None:
        super().__init__(path, split_by, text, mask_merge)


class RefCocoG(Referring):
    """RefCOCOg, also called G-Ref: longer expressions written without a game.

    path: folder that holds refcocog/ and images/. split_by: umd (train, val, test) or google (train, val).
    text: sent (cleaned, as CRIS and InstructDiffusion feed it) or raw (as typed, as LAVT and ReLA do).
    mask_merge: or (union of an object's polygons) or eq1 (pixels covered once, as LAVT's loader).
    """

    name = "refcocog"
    folder = "refcocog"
    about = _about(
        folder,
        "Mao et al., Generation and Comprehension of Unambiguous Object Descriptions, CVPR 2016; "
        "Nagaraja et al., Modeling Context Between Objects for Referring Expression Understanding, ECCV 2016",
    )

    def __init__(
        self, path: str, split_by: Literal["umd", "google"] = "umd", text: Text = "sent", mask_merge: Merge = "or"
    ) -> None:
        super().__init__(path, split_by, text, mask_merge)


@hookimpl
def addp_bench_register(registry: Registry) -> None:
    registry.add("dataset", "refcoco", RefCoco)
    registry.add("dataset", "refcocoplus", RefCocoPlus, ("refcoco_plus",))
    registry.add("dataset", "refcocog", RefCocoG, ("g_ref",))

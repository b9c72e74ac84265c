"""Faulty datasets."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from dots import COUNTS, Dots, DotSamples
from mutants import mutant, of_options
from PIL import Image

from addp_bench.errors import BadOption
from addp_bench.types import About

of_options("dataset", Dots)


class Squares(Dots):
    """Dots whose samples are of another class."""

    of = DotSamples

    def samples(self, split, task):
        found = super().samples(split, task)
        return self.of(found.split, found.count, found.size)


def sampled(clause):
    """The dataset of a faulty split."""

    def note(samples):
        mutant(clause)(type(samples.__name__, (Squares,), {"of": samples, "__doc__": "Squares."}))
        return samples

    return note


class Changed(DotSamples):
    """Each sample with something else in it."""

    def change(self, sample):
        return {}

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return dataclasses.replace(sample, **self.change(sample))


@sampled("dataset.works")
class Unreadable(Changed):
    def change(self, sample):
        raise OSError("no such disk")


@sampled("dataset.repeats")
class Flickers(Changed):
    def change(self, sample):
        return {"image": sample.image + np.uint8(255 * np.random.rand())}  # noqa: NPY002  # the fault


@sampled("dataset.global_state")
class Draws(Changed):
    def change(self, sample):
        torch.rand(1)
        return {}


@mutant("dataset.rebuilt")
class Ages(Dots):
    born = iter(range(100))

    def __init__(self):
        super().__init__()
        self.age = next(Ages.born)

    def samples(self, split, task):
        class Older(Changed):
            def change(samples, sample):
                return {"image": sample.image + np.uint8(self.age)}

        return Older(split, COUNTS[split], self.size)


@mutant("dataset.card")
class Unlicensed(Dots):
    def card(self):
        return About("", "", "").card("dots", COUNTS, "dots")


@mutant("dataset.purposes")
class ToMeasure(Dots):
    def default_split(self, purpose):
        if purpose != "stats":
            raise BadOption("it is to measure with")
        return "stats"


@mutant("dataset.splits")
class Hidden(Dots):
    def splits(self):
        return ("train", "stats")


@mutant("dataset.unknown_split")
class AnySplit(Dots):
    def samples(self, split, task):
        return super().samples(split if split in COUNTS else "train", task)


@mutant("dataset.unknown_split")
class KeyOfSplit(Dots):
    def samples(self, split, task):
        return super().samples({name: name for name in COUNTS}[split], task)


@mutant("dataset.tasks")
class ForFlying(Dots):
    tasks = ("flying", "ris")


@mutant("dataset.protocol")
class ByNobody(Dots):
    def protocol(self, task):
        return "nobodys"


@mutant("dataset.stats_apart")
class Leaks(Dots):
    def default_split(self, purpose):
        return "val" if purpose == "stats" else super().default_split(purpose)


class Named(DotSamples):
    """Ids by another rule."""

    ids = property(lambda self: [self.name(i) for i in range(self.count)])


@sampled("dataset.ids_unique")
class InPairs(Named):
    def name(self, i):
        return f"dots/{i // 2}"


@sampled("dataset.ids_unique")
class ByNumber(Named):
    def name(self, i):
        return i


@sampled("dataset.ids_stable")
class ByAddress(DotSamples):
    def __init__(self, *given):
        super().__init__(*given)
        self.there = [object() for _ in range(self.count)]
        self.ids = [f"dots/{id(one)}" for one in self.there]


@sampled("dataset.ids_placed")
class Next(DotSamples):
    def __getitem__(self, index):
        return super().__getitem__((index + 1) % self.count)


@sampled("dataset.photograph")
class FloatingPoint(Changed):
    def change(self, sample):
        return {"image": sample.image / 255.0}


@sampled("dataset.writable")
class AsPillowHasIt(Changed):
    def change(self, sample):
        return {"image": np.asarray(Image.fromarray(sample.image))}


@sampled("dataset.truth")
class Numbers(Changed):
    def change(self, sample):
        return {"truth": sample.truth.astype(np.uint8)}


@sampled("dataset.truth_taken")
class CutShort(Changed):
    def change(self, sample):
        return {"truth": sample.truth[:-1]}


@sampled("dataset.text")
class OtherWords(DotSamples):
    def __getitem__(self, index):
        return dataclasses.replace(super().__getitem__(index), text="another square")


@sampled("dataset.text_unopened")
class Looks(DotSamples):
    def text(self, index):
        return DotSamples.text(self, index) if self[index] is None else self.words(index)

    def words(self, index):
        return DotSamples.text(self, index)

    def __getitem__(self, index):
        made = DotSamples(self.split, self.count, self.size)
        return made[index]


@sampled("dataset.attributes")
class WithPictures(Changed):
    def change(self, sample):
        return {"attributes": {"picture": sample.image}}

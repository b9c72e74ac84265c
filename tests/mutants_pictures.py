"""Faulty schedules, corruptions, transforms and encodings."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from mutants import ALL, mutant, of_calls, of_options, painted, plain

from addp_bench.plugins.corruptions import Color, Location
from addp_bench.plugins.encodings import RedMask
from addp_bench.plugins.encodings_labels import Palette
from addp_bench.plugins.encodings_learned import TransparentLearned
from addp_bench.plugins.schedules import Linear, NoAug
from addp_bench.plugins.transforms import Crop, Flip, Photometric

of_options("aug", NoAug)
of_calls("aug", Linear, "strength", plain, ALL)


@mutant("aug.range")
class InPercent(Linear):
    def strength(self, t, noise):
        return super().strength(t, noise) * 100


@mutant("aug.corrupts")
class Denies(Linear):
    corrupts = False


of_options("corruption", Color)
CALLS = "repeats rebuilt global_state arguments alone device works"
of_calls("corruption", Color, "corrupt", painted, CALLS)


@mutant("corruption.acts_on")
class OnNothing(Color):
    acts_on = "photograph"


@mutant("corruption.same_kind")
class Shrinks(Color):
    def corrupt(self, target, strength, u):
        return painted(super().corrupt(target, strength, u), lambda x: x[..., 1:])


@mutant("corruption.same_kind")
class Undressed(Color):
    def corrupt(self, target, strength, u):
        return super().corrupt(target, strength, u).rgb


@mutant("corruption.same_kind")
class UpToOne(Location):
    def corrupt(self, target, strength, u):
        moved = super().corrupt(target, strength, u)
        return moved if strength.max() <= 1 else moved.float()


@mutant("corruption.finite")
class TooStrong(Color):
    def corrupt(self, target, strength, u):
        return painted(super().corrupt(target, strength, u), lambda x: x / (strength < 2).float().view(-1, 1, 1, 1))


@mutant("corruption.zero")
class Always(Color):
    def corrupt(self, target, strength, u):
        return super().corrupt(target, strength + 0.1, u)


@mutant("corruption.acts")
class Idle(Color):
    def corrupt(self, target, strength, u):
        return target


@mutant("corruption.photograph")
class Everywhere(Color):
    def corrupt(self, target, strength, u):
        return painted(target, lambda x: x * (1 - 0.1 * strength.view(-1, 1, 1, 1)))


def photos(answer, f):
    return f(answer[0]), answer[1]


of_options("transform", Flip)
of_calls("transform", Flip, "apply", photos, CALLS)


@mutant("transform.changes")
class OneWord(Flip):
    changes = "mirror"


@mutant("transform.truths")
class OneTruth(Flip):
    truths = "mask"


@mutant("transform.same_kind")
class Cuts(Crop):
    def apply(self, photos, truth, u):
        return photos[..., 4:, 4:], truth


@mutant("transform.same_kind")
class Soft(Flip):
    truths = ("mask",)

    def apply(self, photos, truth, u):
        photos, truth = super().apply(photos, truth, u)
        return photos, truth.float()


@mutant("transform.range")
class Bright(Photometric):
    def apply(self, photos, truth, u):
        return photos * 4, truth


@mutant("transform.acts")
class Still(Flip):
    def apply(self, photos, truth, u):
        return photos, truth


@mutant("transform.alike")
class PhotoAlone(Flip):
    truths = ("mask",)

    def apply(self, photos, truth, u):
        return super().apply(photos, truth, u)[0], truth


@mutant("transform.no_label_invented")
class Blends(Flip):
    truths = ("labels",)

    def apply(self, photos, truth, u):
        photos, truth = super().apply(photos, truth, u)
        return photos, torch.where(truth == 1, 2, truth)


of_options("encoding", RedMask)
of_calls("encoding", RedMask, "encode", painted, CALLS + " shape dtype")


@mutant("encoding.truth")
class OfNothing(RedMask):
    truth = None


@mutant("encoding.asks")
class InWords(RedMask):
    def queries(self, sample, vocabulary):
        return [sample.text]


@mutant("encoding.asks")
class AsksNothing(RedMask):
    def queries(self, sample, vocabulary):
        return []


@mutant("encoding.range")
class InBytes(RedMask):
    def encode(self, image, truth, queries):
        return painted(super().encode(image, truth, queries), lambda x: x * 127.5 + 127.5)


@mutant("encoding.partial")
class Undeclared(RedMask):
    def encode(self, image, truth, queries):
        drawn = super().encode(image, truth, queries)
        return dataclasses.replace(drawn, valid=torch.zeros_like(truth))


@mutant("encoding.blind")
class Remembers(RedMask):
    def encode(self, image, truth, queries):
        self.seen = truth[0]
        return super().encode(image, truth, queries)

    def decode(self, drawings, image, queries):
        return self.seen


@mutant("encoding.blind")
class RemembersOutside(RedMask):
    seen: ClassVar[list[torch.Tensor]] = []

    def encode(self, image, truth, queries):
        self.seen.append(truth[0])
        return super().encode(image, truth, queries)

    def decode(self, drawings, image, queries):
        return self.seen[-1]


@mutant("encoding.read_back")
class Inverted(RedMask):
    def decode(self, drawings, image, queries):
        return ~super().decode(drawings, image, queries)


@mutant("encoding.read_back")
class OtherClasses(Palette):
    def _read(self, drawings, queries, radii):
        return [1 - read for read in super()._read(drawings, queries, radii)]


@mutant("encoding.several")
class Together(RedMask):
    def decode_batch(self, drawings, image, queries):
        return super().decode_batch(drawings.mean(0, keepdim=True).expand_as(drawings), image, queries)


@mutant("encoding.sweep")
class OneOnly(Palette):
    def decode_swept(self, drawings, image, queries, values):
        return super().decode_swept(drawings, image, queries, values)[-1:]


@mutant("encoding.sweep_own")
class Otherwise(Palette):
    def decode_swept(self, drawings, image, queries, values):
        return [1 - read for read in super().decode_swept(drawings, image, queries, values)]


@mutant("encoding.unlearnt")
class ReadsAnyway(TransparentLearned):
    def decode(self, drawings, image, queries):
        return torch.zeros(drawings.shape[-2:], dtype=torch.bool)


@mutant("encoding.unlearnt")
class FallsOver(TransparentLearned):
    def decode(self, drawings, image, queries):
        return None.read()

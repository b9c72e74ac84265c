"""A miniature of RefCOCO, RefCOCO+ and RefCOCOg in their exact layout: seven photographs, outlined and named by hand.

The photographs ship with scikit-image, so nothing is downloaded. Outlines follow the objects to a few pixels.
"""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from PIL import Image
from pycocotools import mask as coco

DATA = Path(skimage.__file__).parent / "data"

Polygon = list[float]


def corners(text: str) -> Polygon:
    """`x,y x,y ...` -> [x, y, x, y, ...]."""
    return [float(number) for pair in text.split() for number in pair.split(",")]


def oval(x: float, y: float, rx: float, ry: float) -> Polygon:
    """An axis-parallel ellipse as a polygon of 24 corners."""
    turns = [2 * math.pi * k / 24 for k in range(24)]
    return [round(n, 2) for a in turns for n in (x + rx * math.cos(a), y + ry * math.sin(a))]


@dataclass(frozen=True)
class Thing:
    """An object: COCO's category where it has one, its outline, and expressions as typed ([] if nobody named it)."""

    category: str
    polygons: list[Polygon]
    said: list[str]


CATEGORIES = {
    "person": 1, "motorcycle": 4, "bench": 15, "cat": 17, "cup": 47, "spoon": 50,
    # not in COCO
    "eye": 101, "nose": 102, "saucer": 103, "rocket": 104, "tower": 105, "wheel": 106, "seat": 107, "coin": 108,
    "helmet": 109, "flag": 110, "camera": 111,
}  # fmt: skip

PHOTOGRAPHS: dict[str, list[Thing]] = {
    "astronaut.png": [
        Thing(
            "person",
            [
                corners(
                    "235,16 262,22 285,40 298,70 301,90 295,115 283,130 268,138 262,150 257,175 285,195 "
                    "300,225 305,240 320,243 336,258 345,275 352,300 360,330 363,348 345,358 325,372 305,395 "
                    "290,425 280,460 277,490 277,512 52,512 45,500 30,470 22,430 20,390 28,345 38,310 48,275 "
                    "65,255 90,225 112,210 113,190 125,170 145,153 165,148 183,150 182,132 172,128 158,110 "
                    "153,85 156,60 170,45 190,38 200,25 215,18"
                )
            ],
            ["Woman in orange", "the astronaut", "smiling lady"],
        ),
        Thing(
            "helmet",
            [
                corners(
                    "277,512 278,480 284,445 296,412 315,382 340,360 370,348 400,343 425,347 450,360 475,385 "
                    "490,415 497,452 508,458 512,470 512,512"
                )
            ],
            ["helmet", "black glass on the right"],
        ),
        Thing(
            "rocket",
            [
                corners(
                    "420,0 432,15 437,45 443,40 453,50 455,120 452,180 456,210 456,234 450,236 459,262 "
                    "470,275 440,283 400,287 368,279 386,270 370,269 368,262 373,245 385,226 368,230 354,224 "
                    "357,208 376,185 378,115 380,50 387,42 396,50 398,20 408,0"
                )
            ],
            ["space shuttle", "model of a white shuttle behind her"],
        ),
        Thing(
            "flag",
            [
                corners(
                    "0,0 48,0 60,50 75,100 88,160 95,215 70,240 55,262 44,285 35,320 27,350 20,395 22,430 "
                    "30,470 45,500 52,512 0,512"
                )
            ],
            [],
        ),
    ],
    "camera.png": [
        Thing(
            "person",
            [
                corners(
                    "0,255 20,235 35,215 55,175 75,145 105,128 130,123 155,105 162,105 165,98 180,78 200,64 "
                    "225,68 245,80 262,98 270,115 268,130 258,135 252,150 254,168 246,178 244,188 235,197 "
                    "222,195 205,200 240,203 243,220 235,228 247,248 262,225 272,212 288,218 289,285 270,300 "
                    "245,312 220,302 206,295 190,325 165,358 142,382 148,430 150,512 0,512"
                ),
                corners("306,188 318,182 320,170 326,168 331,180 330,195 322,215 310,230 302,222 302,200"),
            ],
            ["The man", "guy in black coat", "photographer"],
        ),
        Thing(
            "camera",
            [
                corners("252,140 285,142 320,138 325,140 324,152 318,155 320,180 300,185 272,182 262,175 260,152"),
                corners("272,186 302,186 298,217 288,217"),
                corners("290,210 297,210 297,486 288,486"),
                corners("278,313 308,313 308,336 280,330"),
                corners("280,325 292,325 250,470 240,512 230,512"),
                corners("305,325 312,328 395,480 405,512 398,512 385,490"),
            ],
            ["camera on its tripod", "tripod"],
        ),
    ],
    "chelsea.png": [
        Thing(
            "cat",
            [
                corners(
                    "40,0 34,40 31,100 20,130 0,150 0,300 385,300 388,275 370,245 330,222 318,212 330,195 "
                    "350,170 362,140 360,115 352,90 350,75 357,72 375,40 398,5 400,0"
                )
            ],
            ["cat", "The CAT's face", "tabby"],
        ),
        Thing(
            "eye",
            [corners("136,105 140,92 155,86 175,87 192,95 203,110 204,128 195,143 175,147 155,140 142,128")],
            ["left eye", "bigger eye"],
        ),
        Thing(
            "eye",
            [corners("297,130 305,118 320,110 335,111 342,122 340,142 330,157 315,163 302,160 298,150")],
            ["right eye", "the eye on the right"],
        ),
        Thing(
            "nose",
            [corners("230,227 240,230 260,228 285,228 292,233 282,245 265,258 258,265 252,255 250,240")],
            ["nose"],
        ),
    ],
    "coffee.png": [
        Thing(
            "cup",
            [
                corners(
                    "174,105 178,75 195,48 225,28 265,19 310,20 350,32 380,50 398,75 407,105 400,150 388,190 "
                    "370,225 350,250 320,275 290,285 260,282 235,300 222,307 205,303 197,290 200,265 215,240 "
                    "200,215 185,185 176,150"
                )
            ],
            ["Cup of coffee", "the espresso", "cup"],
        ),
        Thing(
            "saucer",
            [
                corners(
                    "180,70 140,90 105,125 85,165 77,210 80,250 95,290 120,325 160,357 210,378 260,387 "
                    "310,388 360,378 405,357 440,325 465,285 478,240 478,200 465,165 445,135 418,108 408,140 "
                    "392,195 388,230 403,255 406,285 385,315 360,325 340,315 328,290 328,270 320,275 290,285 "
                    "260,282 235,300 222,307 205,303 197,290 200,265 215,240 200,215 185,185 176,150 174,105"
                )
            ],
            ["red plate", "saucer under the cup"],
        ),
        Thing(
            "spoon",
            [
                corners(
                    "400,75 405,68 418,67 424,78 415,115 400,175 385,215 384,240 370,240 378,215 390,190 "
                    "400,150 407,110"
                ),
                corners("350,245 365,238 385,235 400,255 406,280 392,310 365,325 342,318 328,295 328,270 335,255"),
            ],
            ["spoon", "The shiny spoon"],
        ),
    ],
    "rocket.jpg": [
        Thing(
            "rocket",
            [corners("322,127 329,135 333,150 334,175 331,182 331,406 313,406 313,182 311,175 311,150 315,135")],
            ["rocket", "white thing in the middle"],
        ),
        Thing(
            "tower",
            [corners("52,0 87,0 84,150 80,300 75,427 0,427 0,330 20,230 35,130 45,60")],
            ["tower on the far left", "leftmost tower"],
        ),
        Thing(
            "tower",
            [corners("560,0 598,0 612,100 630,180 640,240 640,427 580,427 572,300 566,150")],
            ["tower on the far right", "rightmost tower"],
        ),
        Thing(
            "tower",
            [corners("198,123 203,123 204,200 202,300 198,400 165,400 172,320 182,250 188,193 197,190")],
            ["small tower left of the rocket"],
        ),
        Thing(
            "tower",
            [corners("444,122 449,122 451,190 457,192 463,260 470,320 478,405 440,405 441,225 442,192 447,190")],
            [],
        ),
    ],
    "motorcycle_left.png": [
        Thing(
            "motorcycle",
            [
                corners(
                    "95,205 120,198 160,200 142,170 140,150 155,148 170,160 200,163 250,175 300,188 355,190 "
                    "385,165 360,165 375,150 410,130 450,125 470,125 485,110 505,100 530,115 560,130 565,160 "
                    "545,190 560,225 575,262 610,270 640,290 645,310 665,330 680,370 680,420 660,445 625,450 "
                    "580,435 550,405 525,365 505,325 505,310 530,285 520,245 500,215 490,225 480,250 478,310 "
                    "460,350 430,375 395,380 340,375 345,410 335,435 322,435 330,410 325,370 285,365 250,390 "
                    "205,400 165,385 135,350 120,305 122,265 140,245 110,247 112,230 95,220"
                )
            ],
            ["motorbike", "the red motorcycle", "Bike", "parked motorcycle"],
        ),
        Thing(
            "wheel",
            [
                corners(
                    "512,320 530,300 555,290 600,312 640,312 662,330 680,370 681,415 660,445 625,450 585,438 "
                    "552,408 528,370"
                )
            ],
            ["front wheel", "wheel on the right"],
        ),
        Thing(
            "wheel",
            [
                corners(
                    "121,300 128,268 150,245 185,236 215,240 240,255 215,290 178,308 175,320 225,340 285,360 "
                    "265,385 230,398 195,400 160,385 135,358 123,328"
                )
            ],
            ["back wheel", "left wheel"],
        ),
        Thing(
            "bench",
            [
                corners(
                    "48,110 275,106 285,170 290,186 250,174 200,162 170,158 150,146 138,150 143,195 60,195 "
                    "55,305 47,305 50,195"
                )
            ],
            ["wooden bench", "what the motorbike is parked before"],
        ),
        Thing(
            "seat",
            [
                corners(
                    "150,165 200,163 250,175 300,188 357,190 345,205 310,222 265,255 248,235 215,212 165,203 147,190"
                )
            ],
            ["black seat", "Where you sit", "saddle"],
        ),
    ],
    "coins.png": [
        Thing("coin", [oval(347, 187, 32, 31)], ["biggest coin", "the large coin in the third row"]),
        Thing("coin", [oval(335, 43.5, 29.5, 28)], ["coin in the top right corner"]),
        Thing("coin", [oval(46.5, 260, 28, 27.5)], ["bottom left coin", "first coin of the last row"]),
        Thing("coin", [oval(100, 57, 19.5, 17.5)], ["second coin from the left in the first row"]),
        Thing("coin", [oval(155, 51, 23.5, 22.5)], []),
    ],
}

# splits of a partition; photographs that are not named are in train
UNC = {"astronaut.png": "testA", "camera.png": "testA", "coffee.png": "val", "rocket.jpg": "testB"}
UMD = {"astronaut.png": "test", "camera.png": "test", "coffee.png": "val", "rocket.jpg": "test"}
GOOGLE = {"astronaut.png": "val", "camera.png": "val", "coffee.png": "val", "rocket.jpg": "val"}
PARTITIONS = {
    "refcoco": {"unc": UNC, "google": GOOGLE},
    "refcoco+": {"unc": UNC},
    "refcocog": {"umd": UMD, "google": GOOGLE},
}
LOCATIONS = ("left", "right", "top", "bottom", "middle", "behind", "under", "first", "second", "third", "last")


def build(root: Path, images: str = "images/mscoco/images/train2014") -> Path:
    """Write everything under `root`, the photographs under `images`; returns `root`."""
    folder = root / images
    folder.mkdir(parents=True)
    sizes = {}
    for image_id, name in enumerate(PHOTOGRAPHS, 1):
        with Image.open(DATA / name) as photograph:  # gray ones stay gray, as some of COCO are
            sizes[name] = photograph.size
            photograph.save(folder / file_name(image_id), quality=95)
    for dataset, partitions in PARTITIONS.items():
        (root / dataset).mkdir()
        (root / dataset / "instances.json").write_text(json.dumps(instances(sizes)))
        for partition, splits in partitions.items():
            # RefCOCO's Google partition stands for the oldest kind of file
            dumps = python2_dumps if (dataset, partition) == ("refcoco", "google") else protocol2_dumps
            (root / dataset / f"refs({partition}).p").write_bytes(dumps(references(dataset, splits)))
    return root


def file_name(image_id: int) -> str:
    return f"COCO_train2014_{image_id:012d}.jpg"


def instances(sizes: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """`instances.json`: annotation ids are 100 x image id + number of the object."""
    images, annotations = [], []
    for image_id, (name, things) in enumerate(PHOTOGRAPHS.items(), 1):
        width, height = sizes[name]
        images.append({"id": image_id, "file_name": file_name(image_id), "height": height, "width": width})
        for number, thing in enumerate(things):
            runs = coco.merge(coco.frPyObjects(thing.polygons, height, width))
            annotations.append(
                {
                    "id": 100 * image_id + number,
                    "image_id": image_id,
                    "category_id": CATEGORIES[thing.category],
                    "bbox": np.asarray(coco.toBbox(runs)).tolist(),
                    "area": float(coco.area(runs)),
                    "iscrowd": 0,
                    "segmentation": thing.polygons,
                }
            )
    categories = [{"id": id, "name": name, "supercategory": "thing"} for name, id in CATEGORIES.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def references(dataset: str, splits: dict[str, str]) -> list[dict[str, Any]]:
    """The references of a partition; RefCOCO+ leaves out expressions with words of place, as its game did."""
    found: list[dict[str, Any]] = []
    sent_id = 0
    for image_id, (name, things) in enumerate(PHOTOGRAPHS.items(), 1):
        for number, thing in enumerate(things):
            sentences = []
            for raw in thing.said:
                sent = raw.lower().replace("'", " '")
                if dataset == "refcoco+" and any(word in sent for word in LOCATIONS):
                    continue
                sent_id += 1
                sentences.append({"sent_id": sent_id, "sent": sent, "raw": raw, "tokens": sent.split()})
            if sentences:
                found.append(
                    {
                        "ref_id": len(found) + 1,
                        "ann_id": 100 * image_id + number,
                        "image_id": image_id,
                        "category_id": CATEGORIES[thing.category],
                        "file_name": file_name(image_id).replace(
                            ".jpg", f"_{number}.jpg"
                        ),  # the suffix is in the originals
                        "split": splits.get(name, "train"),
                        "sentences": sentences,
                        "sent_ids": [sentence["sent_id"] for sentence in sentences],
                    }
                )
    return found


def protocol2_dumps(value: Any) -> bytes:
    return pickle.dumps(value, protocol=2)


def python2_dumps(value: Any) -> bytes:
    """As Python 2's pickle, protocol 0, wrote it: byte strings and long integers, in text."""
    return _python2(value) + b"."


def _python2(value: Any) -> bytes:
    match value:
        case dict():
            return b"(d" + b"".join(_python2(k) + _python2(v) + b"s" for k, v in value.items())
        case list():
            return b"(l" + b"".join(_python2(item) + b"a" for item in value)
        case int():
            return b"L%dL\n" % value
        case str():
            return f"S{value!r}\n".encode("ascii")
    raise TypeError(f"references hold no {type(value).__name__}")

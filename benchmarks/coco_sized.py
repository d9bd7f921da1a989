"""Annotations with the statistics of COCO train2017, at any size, for benchmarks and tests.

    python benchmarks/coco_sized.py OUTPUT.json [--images N] [--boxes N] [--seed N] [--polygons]

There are no pictures, only what removal rules depend on: class frequencies, boxes and classes per
image, box sizes and positions. All numbers come from a hash of the seed, so that a seed gives the
same file on every platform.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from scipy.special import ndtri

from sparsedet.seeds import remixed, stable_rank

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

IMAGES = 118_287
BOXES = 860_001

CLASSES = {
    "person": 262465, "bicycle": 7113, "car": 43867, "motorcycle": 8725, "airplane": 5135,
    "bus": 6069, "train": 4571, "truck": 9973, "boat": 10759, "traffic light": 12884,
    "fire hydrant": 1865, "stop sign": 1983, "parking meter": 1285, "bench": 9838, "bird": 10806,
    "cat": 4768, "dog": 5508, "horse": 6587, "sheep": 9509, "cow": 8147, "elephant": 5513,
    "bear": 1294, "zebra": 5303, "giraffe": 5131, "backpack": 8720, "umbrella": 11431,
    "handbag": 12354, "tie": 6496, "suitcase": 6192, "frisbee": 2682, "skis": 6646,
    "snowboard": 2685, "sports ball": 6347, "kite": 9076, "baseball bat": 3276,
    "baseball glove": 3747, "skateboard": 5543, "surfboard": 6126, "tennis racket": 4812,
    "bottle": 24342, "wine glass": 7913, "cup": 20650, "fork": 5479, "knife": 7770, "spoon": 6165,
    "bowl": 14358, "banana": 9458, "apple": 5851, "sandwich": 4373, "orange": 6399,
    "broccoli": 7308, "carrot": 7852, "hot dog": 2918, "pizza": 5821, "donut": 7179, "cake": 6353,
    "chair": 38491, "couch": 5779, "potted plant": 8652, "bed": 4192, "dining table": 15714,
    "toilet": 4157, "tv": 5805, "laptop": 4970, "mouse": 2262, "remote": 5703, "keyboard": 2855,
    "cell phone": 6434, "microwave": 1673, "oven": 3334, "toaster": 225, "sink": 5610,
    "refrigerator": 2637, "book": 24715, "clock": 6334, "vase": 6613, "scissors": 1481,
    "teddy bear": 4793, "hair drier": 198, "toothbrush": 1954,
}  # fmt: skip
"""Class -> number of boxes in COCO train2017."""

_WITHOUT_BOXES = 0.0086
"""Share of images without boxes."""
_CROWDS = 0.012
_MOST_CROWDED = 22.0
"""Limits boxes per image to less than COCO's maximum of 93."""
_LOG_SIDE = 3.743, 1.217
"""Mean and standard deviation of the logarithm of a box's side: 41 % are small (below 32 pixels),
34 % medium, 25 % large (above 96 pixels)."""
_IMAGE_SIZES = np.array([(640, 480), (480, 640), (640, 427), (427, 640), (500, 375)], np.float64)
_POINTS = 13
"""Number of points of a polygon."""


class Numbers:
    """Random numbers from a hash; the same seed gives the same sequence."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn = 0

    def uniform(self, count: int) -> Floats:
        """Return uniform numbers in the open interval from 0 to 1; shape (count,)."""
        self._drawn += 1
        start = np.uint64(stable_rank(self._seed, "numbers", self._drawn))
        ranks = remixed(remixed(np.arange(count, dtype=np.uint64) + start))
        return (ranks >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54

    def normal(self, count: int) -> Floats:
        """Return normal numbers, mean 0 and deviation 1; shape (count,)."""
        drawn: Floats = ndtri(self.uniform(count))
        return drawn


def make_coco(
    images: int = IMAGES, boxes: int = BOXES, seed: int = 1, *, polygons: bool = False
) -> dict[str, Any]:
    """Return the content of a COCO file with the statistics of train2017.

    Args:
        images: Number of images; about 1 % of them have no box.
        boxes: Number of boxes; about 1 % of them are crowd regions.
        seed: The same seed gives the same content.
        polygons: Whether every box gets a `segmentation`, which triples the size of the file.
    """
    numbers = Numbers(seed)
    sizes = _IMAGE_SIZES[(numbers.uniform(images) * len(_IMAGE_SIZES)).astype(np.int64)]
    owner = np.repeat(np.arange(images), _boxes_per_image(numbers, images, boxes))
    category, cluster = _classes(numbers, owner)
    sides = _sides(numbers, owner, category, cluster)
    xywh = _places(numbers, sides, sizes[owner], cluster)
    crowd = (numbers.uniform(boxes) < _CROWDS).astype(np.int64)
    annotations: list[dict[str, Any]] = [
        {"id": id, "image_id": image, "category_id": kind, "bbox": bbox, "area": area, "iscrowd": c}
        for id, image, kind, bbox, area, c in zip(
            range(1, boxes + 1),
            (owner + 1).tolist(),
            (category + 1).tolist(),
            xywh.tolist(),
            np.round(xywh[:, 2] * xywh[:, 3], 2).tolist(),
            crowd.tolist(),
            strict=True,
        )
    ]
    if polygons:
        for entry, polygon in zip(annotations, _polygons(xywh).tolist(), strict=True):
            entry["segmentation"] = [polygon]
    return {
        "images": [
            {"id": row + 1, "file_name": f"{row + 1:012}.jpg", "width": width, "height": height}
            for row, (width, height) in enumerate(sizes.astype(np.int64).tolist())
        ],
        "annotations": annotations,
        "categories": [{"id": row + 1, "name": name} for row, name in enumerate(CLASSES)],
    }


def _boxes_per_image(numbers: Numbers, images: int, boxes: int) -> Integers:
    """Return the number of boxes per image: few in most, dozens in some; shape (images,)."""
    weight = np.minimum(np.exp(0.95 * numbers.normal(images)), _MOST_CROWDED)
    weight[numbers.uniform(images) < _WITHOUT_BOXES] = 0
    annotated = weight > 0
    # One for each, the others by weight, rounded so that the sum is exact.
    ends = np.cumsum(weight) * ((boxes - annotated.sum()) / weight.sum())
    more = np.diff(np.rint(ends).astype(np.int64), prepend=0)
    counts: Integers = more + annotated
    return counts


def _classes(numbers: Numbers, owner: Integers) -> tuple[Integers, Integers]:
    """Return the class of every box, and its cluster: adjacent boxes of a class.

    Usually a box repeats the previous box's class, as in COCO, where an image of seven boxes has
    three classes.
    """
    boxes = len(owner)
    shares = np.cumsum(list(CLASSES.values()), dtype=np.float64)
    drawn = np.searchsorted(shares / shares[-1], numbers.uniform(boxes))
    starts = (numbers.uniform(boxes) < 0.4) | (np.diff(owner, prepend=-1) != 0)
    cluster = np.cumsum(starts) - 1
    return drawn[np.flatnonzero(starts)][cluster], cluster


def _sides(numbers: Numbers, owner: Integers, category: Integers, cluster: Integers) -> Floats:
    """Return the square root of every box's area in pixels; shape (N,).

    Some classes are small, crowded images have small boxes, and boxes of a cluster are similar.
    """
    crowding = np.log(np.bincount(owner)[owner].astype(np.float64))
    score = (
        0.6 * numbers.normal(len(CLASSES))[category]
        - 0.45 * crowding
        + 0.5 * numbers.normal(int(cluster.max()) + 1)[cluster]
        + 0.5 * numbers.normal(len(owner))
    )
    order = np.argsort(score, kind="stable")
    position = np.empty(len(score))
    position[order] = (np.arange(len(score)) + 0.5) / len(score)
    mean, deviation = _LOG_SIDE
    sides: Floats = np.exp(mean + deviation * ndtri(position))
    return sides


def _places(numbers: Numbers, sides: Floats, image_size: Floats, cluster: Integers) -> Floats:
    """Return XYWH boxes inside their images, in pixels with 2 decimals; shape (N, 4)."""
    boxes, clusters = len(sides), int(cluster.max()) + 1
    aspect = np.exp(0.4 * numbers.normal(boxes))
    extent = np.stack((sides * aspect, sides / aspect), axis=1)
    extent = np.clip(extent, 2.0, 0.98 * image_size)
    heart = np.stack((numbers.normal(clusters), 0.8 * numbers.normal(clusters)), axis=1)[cluster]
    around = np.stack((numbers.normal(boxes), 0.5 * numbers.normal(boxes)), axis=1)
    centre = image_size * (0.5 + 0.22 * heart) + 1.5 * extent * around
    corner = np.clip(centre - extent / 2, 0, image_size - extent)
    xywh: Floats = np.floor(np.concatenate((corner, extent), axis=1) * 100) / 100
    return xywh


def _polygons(xywh: Floats) -> Floats:
    """Return an ellipse inside every box; shape (N, 2 * _POINTS): x, y, x, y, ..."""
    angle = np.arange(_POINTS) * (2 * np.pi / _POINTS)
    circle = 0.5 + 0.5 * np.stack((np.cos(angle), np.sin(angle)), axis=-1)
    points = xywh[:, None, :2] + xywh[:, None, 2:] * circle
    polygons: Floats = np.round(points.reshape(len(xywh), -1), 2)
    return polygons


def main() -> None:
    """Write a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--boxes", type=int, default=BOXES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--polygons", action="store_true")
    options = parser.parse_args()
    content = make_coco(options.images, options.boxes, options.seed, polygons=options.polygons)
    options.output.write_bytes(orjson.dumps(content))


if __name__ == "__main__":
    main()

"""Hash distances between near duplicates, and between different pictures.

    python benchmarks/near_duplicates.py FOLDER [FOLDER ...]

FOLDER contains images. Prints the names of the closest pairs in each, for inspection; and the
distances between originals and copies that are half as large, compressed to JPEG quality 40,
brighter, or cropped by 2 % on each side. These figures determined `DISTANCE` of sparsedet's near
duplicates. Takes seconds for hundreds of images; all pairs are compared.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sparsedet.annotations import Image
from sparsedet.annotations.images import read_upright, upright_size
from sparsedet.sparsify.near_duplicates import Codes, image_hash

CLOSEST = 15
COPIES = ("half", "quality 40", "brighter", "cut")


def hash_of(path: Path) -> Codes | None:
    return image_hash(Image(1, path.name, *upright_size(path)), path.parent)


def apart(one: Codes, other: Codes) -> int:
    return sum(int(bits).bit_count() for bits in one ^ other)


def copy(path: Path, kind: str, folder: Path) -> Path:
    pixels: npt.NDArray[Any] = read_upright(path)
    height, width = pixels.shape[:2]
    if kind == "half":
        pixels = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    if kind == "brighter":
        pixels = cv2.convertScaleAbs(pixels, alpha=1, beta=25)
    if kind == "cut":
        pixels = pixels[height // 50 : -(height // 50), width // 50 : -(width // 50)]
    target = folder / "copy.jpg"
    quality = 40 if kind == "quality 40" else 95
    cv2.imwrite(str(target), pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return target


def measure(folder: Path) -> None:
    found = [(path, hash_of(path)) for path in sorted(folder.iterdir()) if path.is_file()]
    hashed = [(path, code) for path, code in found if code is not None]
    pairs = sorted(
        (apart(code, other), path.name, another.name)
        for index, (path, code) in enumerate(hashed)
        for another, other in hashed[index + 1 :]
    )
    print(f"{folder}: {len(found)} images, {len(pairs)} pairs")
    for bits, one, other in pairs[:CLOSEST]:
        print(f"  {bits:3} bits: {one}, {other}")
    with tempfile.TemporaryDirectory() as scratch:
        for kind in COPIES:
            distances = [
                apart(code, copied)
                for path, code in hashed[::3]
                if (copied := hash_of(copy(path, kind, Path(scratch)))) is not None
            ]
            middle, most = np.percentile(distances, [50, 100])
            print(f"  copies, {kind}: median {middle:.0f} bits, at most {most:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", metavar="FOLDER", type=Path, nargs="+")
    for folder in parser.parse_args().folders:
        measure(folder)


if __name__ == "__main__":
    main()

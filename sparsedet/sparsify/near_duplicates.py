"""Near duplicates: images that show the same scene, found by perceptual hashes.

Uses the hash of the discrete cosine transform (pHash): the signs of the 12 x 12 lowest frequencies
of the grey image. Copies that were resized, recompressed or brightened, and pictures taken seconds
apart, differ in few of the 144 bits; pictures of different things in about half of them, even if
they look alike. Mirrored, rotated and strongly cropped copies are not found.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsedet.annotations import Dataset, Image
from sparsedet.annotations.images import read_upright
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.sparsify.grouping import representatives, sets_of

HASH = "phash 12 x 12"
DISTANCE = 16
"""Near duplicates differ in at most this many of 144 bits. On photographs of blood cells and of
playing cards (`benchmarks/near_duplicates.py`), pictures of one scene differed in up to 12 bits,
those of different scenes in 30 and more."""
MAX_DISTANCE = 17
"""Beyond that, two hashes may differ in two bits of every band, which the search doesn't cover."""

Codes = npt.NDArray[np.uint16]
"""Hashes of N images in bands of 16 bits, shape (N, 9)."""
Indices = npt.NDArray[np.intp]

_SIZE = 12
_BAND = 16
_READ_AT_LEAST = 2 * 4 * _SIZE
"""Pixels of the shorter side: twice the size that the hash shrinks the image to."""
_LEAST_CONTRAST = 1.0
"""Standard deviation in grey levels. Blank images have no hash: its bits would be noise."""
_AT_ONCE = 256
"""Images between two calls of `progress`."""
_CANDIDATES_AT_ONCE = 2**21
_BITS = np.array([value.bit_count() for value in range(2**_BAND)], dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Sets of images that show the same scene."""

    sets: tuple[tuple[str, ...], ...]
    """File names; two or more per set, no name twice, all sorted."""
    distance: int
    """Largest number of bits in which the hashes of a pair differ. Images of one set may differ in
    more, since sets are connected components."""


def find_near_duplicates(
    dataset: Dataset,
    folder: Path,
    *,
    distance: int = DISTANCE,
    progress: Progress = no_progress,
) -> NearDuplicates:
    """Find the near duplicates among a dataset's images.

    Args:
        dataset: The images, in any order.
        folder: The image folder.
        distance: Maximum number of differing bits, 0 to `MAX_DISTANCE`.
        progress: Called with the number of images hashed.

    Raises:
        AnnotationError: naming the image's id, when it can't be read.
        SparseDetError: when `distance` is out of range.
    """
    check_distance(distance)
    names: list[str] = []
    codes: list[Codes] = []
    for image, code in _codes(dataset.images, folder, progress):
        if code is not None:
            names.append(image.file_name)
            codes.append(code)
    if not codes:
        return NearDuplicates((), distance)
    pairs = (
        (names[one], names[other])
        for ones, others in near_pairs(np.stack(codes), distance)
        for one, other in zip(ones.tolist(), others.tolist(), strict=True)
    )
    sets = sets_of(representatives(names, pairs))
    return NearDuplicates(tuple(tuple(found) for found in sets if len(found) > 1), distance)


def check_distance(distance: int) -> None:
    """Refuse a distance that the search doesn't cover.

    Raises:
        SparseDetError: naming the valid range.
    """
    if not 0 <= distance <= MAX_DISTANCE:
        raise SparseDetError(
            f"near-duplicate distance {distance}: expected 0 to {MAX_DISTANCE} bits"
        )


def image_hash(image: Image, folder: Path) -> Codes | None:
    """Return the perceptual hash of an image, shape (9,); None for a blank image.

    Raises:
        AnnotationError: naming the image's id, when it can't be read.
    """
    import imagehash
    import PIL.Image

    try:
        grey = _read_grey(image, folder / image.file_name)
    except AnnotationError as error:
        raise AnnotationError(f"image id {image.id}: {error}") from error
    if grey.std() < _LEAST_CONTRAST:
        return None
    bits = imagehash.phash(PIL.Image.fromarray(grey), hash_size=_SIZE).hash
    return np.packbits(bits).view(">u2").astype(np.uint16)


def show_different_scenes(first: Image, second: Image, folder: Path) -> bool:
    """Return whether two images certainly show different scenes; blank ones always do.

    Raises:
        AnnotationError: naming the image's id, when one can't be read.
    """
    codes = image_hash(first, folder), image_hash(second, folder)
    if codes[0] is None or codes[1] is None:
        return False
    return int(_BITS[codes[0] ^ codes[1]].sum()) > DISTANCE


def near_pairs(codes: Codes, distance: int) -> Iterator[tuple[Indices, Indices]]:
    """Yield pairs of hashes that differ in at most `distance` bits, as two arrays of indices.

    Multi-index hashing (Norouzi, Punjani, Fleet: "Fast Search in Hamming Space with Multi-Index
    Hashing", CVPR 2012): of nine bands, one differs in at most one bit where the whole differs in
    up to 17. So only hashes that nearly agree in a band are compared, not all pairs. A pair may be
    yielded more than once; of equal hashes the first represents the others.
    """
    distinct, first, which = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    copies = np.flatnonzero(first[which.ravel()] != np.arange(len(codes)))
    yield first[which.ravel()[copies]], copies
    for band in range(distinct.shape[1]):
        for ones, others in _candidates(distinct[:, band]):
            near = _BITS[distinct[ones] ^ distinct[others]].sum(axis=1) <= distance
            yield first[ones[near]], first[others[near]]


def _candidates(band: npt.NDArray[np.uint16]) -> Iterator[tuple[Indices, Indices]]:
    """Yield all pairs whose bands differ in at most one bit, each once."""
    order = np.argsort(band, kind="stable")
    ordered = band[order]
    places = np.arange(len(band))
    ends = np.searchsorted(ordered, ordered, side="right")
    yield from _expand(order, places, places + 1, ends)
    for bit in (np.uint16(1 << position) for position in range(_BAND)):
        # Each pair is found from the hash that lacks the bit.
        without = places[ordered & bit == 0]
        sought = ordered[without] | bit
        starts = np.searchsorted(ordered, sought, side="left")
        ends = np.searchsorted(ordered, sought, side="right")
        yield from _expand(order, without, starts, ends)


def _expand(
    order: Indices, places: Indices, starts: Indices, ends: Indices
) -> Iterator[tuple[Indices, Indices]]:
    """Yield the pairs of each position with the range from its start to its end, in chunks."""
    found = ends > starts
    places, starts, counts = places[found], starts[found], (ends - starts)[found]
    totals = np.cumsum(counts)
    done = 0
    while done < len(places):
        before = totals[done - 1] if done else 0
        stop = max(done + 1, int(np.searchsorted(totals, before + _CANDIDATES_AT_ONCE)))
        number = counts[done:stop]
        offsets = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        yield (
            order[np.repeat(places[done:stop], number)],
            order[np.repeat(starts[done:stop], number) + offsets],
        )
        done = stop


def _codes(
    images: Sequence[Image], folder: Path, progress: Progress
) -> Iterator[tuple[Image, Codes | None]]:
    """Yield every image with its hash, decoding on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(images), _AT_ONCE):
            part = images[start : start + _AT_ONCE]
            hashes = threads.map(lambda image: image_hash(image, folder), part)
            yield from zip(part, hashes, strict=True)
            progress("looking for near duplicates", start + len(part), len(images))


def _read_grey(image: Image, path: Path) -> npt.NDArray[np.uint8]:
    """Decode an image upright and grey, uint8 of shape (H, W); a JPEG at a fraction of its size."""
    import cv2

    data: npt.NDArray[Any] = np.fromfile(path, dtype=np.uint8) if path.is_file() else np.empty(0)
    if data[:2].tobytes() == b"\xff\xd8":
        side = min(image.width, image.height)
        flag = next(
            (
                flag
                for factor, flag in (
                    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
                    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
                    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
                )
                if side >= factor * _READ_AT_LEAST
            ),
            cv2.IMREAD_GRAYSCALE,
        )
        grey = cv2.imdecode(data, flag)
        if grey is not None:
            return np.asarray(grey, dtype=np.uint8)
    # Other formats gain little from reduced decoding, and have orientations that OpenCV ignores.
    return np.asarray(cv2.cvtColor(read_upright(path), cv2.COLOR_BGR2GRAY), dtype=np.uint8)

"""Near duplicates: copies of real scenes are found, different scenes are not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

from sparsedet.annotations import Dataset, Image
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.simulation.scenes import make_scenes
from sparsedet.sparsify import find_near_duplicates, near_duplicates
from sparsedet.sparsify.near_duplicates import MAX_DISTANCE, image_hash, near_pairs


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    folder = tmp_path_factory.mktemp("scenes")
    return make_scenes(30, folder, seed=5), folder


def half(pixels: Any) -> Any:
    return cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def large(pixels: Any) -> Any:
    return cv2.resize(pixels, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)


def brighter(pixels: Any) -> Any:
    return cv2.convertScaleAbs(pixels, alpha=1.1, beta=20)


def shifted(pixels: Any) -> Any:
    return pixels[2:, 2:]


def unchanged(pixels: Any) -> Any:
    return pixels


@pytest.mark.parametrize(
    ("name", "change", "quality"),
    [
        ("copy.png", unchanged, []),
        ("copy.bmp", unchanged, []),
        ("copy.webp", unchanged, [cv2.IMWRITE_WEBP_QUALITY, 60]),
        ("copy.jpg", unchanged, [cv2.IMWRITE_JPEG_QUALITY, 40]),
        ("copy.jpg", half, []),
        ("copy.jpg", large, []),
        ("copy.jpg", brighter, []),
        ("copy.png", shifted, []),
    ],
)
def test_copies_are_found(
    scenes: tuple[Dataset, Path],
    tmp_path: Path,
    name: str,
    change: Callable[[Any], Any],
    quality: list[int],
) -> None:
    dataset, folder = scenes
    changed = change(cv2.imread(str(folder / dataset.images[7].file_name)))
    cv2.imwrite(str(tmp_path / name), changed, quality)
    for image in dataset.images:
        (tmp_path / image.file_name).symlink_to(folder / image.file_name)
    copy = Image(99, name, changed.shape[1], changed.shape[0])
    calls: list[tuple[int, int]] = []
    found = find_near_duplicates(
        replace(dataset, images=(*dataset.images, copy)),
        tmp_path,
        progress=lambda what, done, total: calls.append((done, total)),
    )
    assert found.sets == ((name, "scene_0008.png"),)
    assert calls[-1] == (31, 31)


def test_a_photograph_is_hashed_upright(scenes: tuple[Dataset, Path], tmp_path: Path) -> None:
    dataset, folder = scenes
    image = dataset.images[0]
    with Picture.open(folder / image.file_name) as picture:
        large_one = picture.resize((1600, 1200))
        exif = Picture.Exif()
        exif[0x0112] = 6
        turned = large_one.transpose(Picture.Transpose.ROTATE_90)
        turned.save(tmp_path / "turned.jpg", exif=exif)
    upright = image_hash(image, folder)
    photograph = image_hash(Image(1, "turned.jpg", 1600, 1200), tmp_path)
    assert upright is not None
    assert photograph is not None
    assert sum(int(bits).bit_count() for bits in upright ^ photograph) <= 16


def test_images_that_show_nothing_are_no_duplicates(tmp_path: Path) -> None:
    for name, level in (("a.png", 0), ("b.png", 0), ("c.png", 255)):
        Picture.new("L", (64, 64), level).save(tmp_path / name)
    images = tuple(Image(i, name, 64, 64) for i, name in enumerate(("a.png", "b.png", "c.png")))
    assert find_near_duplicates(Dataset(images, (), ()), tmp_path).sets == ()
    assert find_near_duplicates(Dataset((), (), ()), tmp_path).sets == ()


def test_an_image_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more of it")
    for name, message in (
        ("broken.jpg", "can't be decoded"),
        ("gone.jpg", "no such image file"),
    ):
        with pytest.raises(AnnotationError, match=f"image id 7: .*{name}: {message}"):
            find_near_duplicates(Dataset((Image(7, name, 9, 9),), (), ()), tmp_path)


@pytest.mark.parametrize("distance", [-1, MAX_DISTANCE + 1])
def test_a_distance_that_the_search_can_not_cover_is_refused(distance: int, tmp_path: Path) -> None:
    with pytest.raises(SparseDetError, match="expected 0 to 17 bits"):
        find_near_duplicates(Dataset((), (), ()), tmp_path, distance=distance)


@given(
    st.integers(0, 2**32),
    st.integers(0, MAX_DISTANCE),
    st.lists(st.integers(0, 20), min_size=1, max_size=12),
    st.sampled_from([1, 2**21]),
)
def test_the_search_finds_what_comparing_all_with_all_finds(
    seed: int, distance: int, flips: list[int], at_once: int
) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (4, 144), dtype=np.uint8)
    for number in flips:
        near = bits[rng.integers(len(bits))].copy()
        near[rng.choice(144, number, replace=False)] ^= 1
        bits = np.vstack([bits, near])
    codes = np.packbits(bits, axis=1).view(np.uint16)
    apart = (bits[:, None] != bits[None]).sum(axis=2)
    with pytest.MonkeyPatch.context() as patch:
        # Candidates are compared piece by piece.
        patch.setattr(near_duplicates, "_CANDIDATES_AT_ONCE", at_once)
        found = {
            (min(pair), max(pair))
            for ones, others in near_pairs(codes, distance)
            for pair in zip(ones.tolist(), others.tolist(), strict=True)
        }
    assert all(apart[pair] <= distance for pair in found)
    # Of equal hashes one stands for all, so what counts is what hangs together.
    assert _parts(found, len(bits)) == _parts(
        {(int(one), int(other)) for one, other in np.argwhere(apart <= distance)}, len(bits)
    )


def _parts(pairs: set[tuple[int, int]], number: int) -> list[int]:
    labels = list(range(number))
    for one, other in pairs:
        low, high = sorted((labels[one], labels[other]))
        labels = [low if label == high else label for label in labels]
    return labels

"""Image files: upright size, pixels, and consistency with the annotations.

Imports numpy, Pillow and OpenCV lazily: `sparsedet --help` loads this module.
"""

import errno
import hashlib
import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsedet.annotations.dataset import Dataset
from sparsedet.annotations.model import Image
from sparsedet.annotations.pixels import check_size, decode, decoded_size, open_image
from sparsedet.errors import AnnotationError, UnreadableImageError
from sparsedet.runtime.unreadable import UnreadableImages

if TYPE_CHECKING:
    import numpy as np

_ORIENTATION_TAG = 0x0112
_TRANSPOSED = {5, 6, 7, 8}
"""EXIF orientations that swap width and height."""
_UPRIGHT_IN_PILLOW = {"TIFF"}
"""Formats whose `size` in Pillow already has the orientation applied."""
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ENDINGS = {b"\xff\xd8": b"\xff\xd9", _PNG_SIGNATURE: b"IEND"}
"""Leading bytes -> trailing bytes of a format."""
_TRAILER = 1 << 16
"""Maximum number of bytes that some cameras and programs append."""
_PNG_CHECKSUM = 4
"""Bytes after the content of each chunk."""


def upright_size(path: Path) -> tuple[int, int]:
    """Return (width, height) in pixels after EXIF orientation; reads only the header.

    Raises:
        UnreadableImageError: when the file is not a decodable image, or too large.
        AnnotationError: when there is no such file.
    """
    _check_regular(path)
    try:
        with open_image(path, path) as image:
            width, height = image.size
            transposed = (
                image.format not in _UPRIGHT_IN_PILLOW
                # Without EXIF in a PNG's header, Pillow decodes all of it to find out.
                and (image.format != "PNG" or _has_exif_chunk(path))
                and image.getexif().get(_ORIENTATION_TAG) in _TRANSPOSED
            )
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such image file") from None
    except UnreadableImageError:
        raise
    except Exception as error:
        # Parsers of broken files may raise anything.
        if (size := decoded_size(path)) is not None:
            return size
        raise UnreadableImageError(
            f"{path}: can't be read as an image ({error}); repair it, or remove it from the "
            "annotations"
        ) from error
    check_size(width, height, path)
    return (height, width) if transposed else (width, height)


def turned_hint(path: Path, stated: Sequence[float], upright: Sequence[int]) -> str:
    """Return why annotations may state the size of an image turned; empty if they don't.

    Args:
        path: the image.
        stated: (width, height) in the annotations.
        upright: that of the image.
    """
    turned = tuple(upright)[::-1]
    if tuple(stated) != turned or turned == tuple(upright):
        return ""
    try:
        with open_image(path, path) as image:
            stored = image.size
    except Exception:  # see `upright_size`
        stored = (0, 0)
    if stored == turned:
        return "; the annotations seem to ignore the file's EXIF orientation"
    return "; the annotations seem to have width and height swapped"


def is_cut_off(path: Path) -> bool:
    """Return whether a JPEG or PNG file is truncated; other formats are not checked."""
    with path.open("rb") as file:
        head = file.read(8)
        ending = next((mark for start, mark in _ENDINGS.items() if head.startswith(start)), b"")
        file.seek(max(path.stat().st_size - _TRAILER, 0))
        return ending not in file.read()


def file_digest(path: Path) -> str:
    """Return a digest of a file's content: the same for the same bytes.

    Raises:
        AnnotationError: when there is no such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such image file") from None


def _check_regular(path: Path) -> None:
    """Refuse pipes and devices, which may block forever, and names that no file can have."""
    try:
        is_other = path.exists() and not path.is_file()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise AnnotationError(f"{path}: no such image file; the name is too long") from error
    if is_other:
        raise UnreadableImageError(f"{path}: not a regular file: remove it from the annotations")


def _has_exif_chunk(png: Path) -> bool:
    """Return whether a PNG file has EXIF data, before or after its pixels."""
    with png.open("rb") as file:
        file.seek(len(_PNG_SIGNATURE))
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return True
            file.seek(size + _PNG_CHECKSUM, io.SEEK_CUR)
    return False


def read_image(image: Image, folder: Path) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Decode an image of a dataset; uint8 of shape (H, W, 3), BGR, of the annotated size.

    Raises:
        AnnotationError: naming the image's id, when it can't be read or has a different size.
    """
    path = folder / image.file_name
    try:
        pixels = read_upright(path)
    except AnnotationError as error:
        raise AnnotationError(f"image id {image.id}: {error}") from error
    if pixels.shape[:2] != (image.height, image.width):
        raise AnnotationError(
            f"image id {image.id}: {path} decodes to {pixels.shape[1]} x {pixels.shape[0]} pixels, "
            f"the annotations say {image.width} x {image.height}"
        )
    return pixels


def read_upright(path: Path) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Decode an image, EXIF orientation applied; uint8 of shape (H, W, 3), BGR.

    Raises:
        AnnotationError: naming the file, when it can't be read or decoded.
    """
    import numpy as np

    _check_regular(path)
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such image file") from None
    except OSError as error:
        raise AnnotationError(f"{path}: can't be read ({error.strerror})") from error
    return decode(data, path)


def check_images(
    dataset: Dataset, folder: Path, unreadable: UnreadableImages | None = None
) -> None:
    """Check that every image exists in `folder` with the size given in the annotations.

    Args:
        dataset: the images.
        folder: the folder of their files.
        unreadable: records files that are not images; None: they are errors.

    Raises:
        AnnotationError: naming the image's id and file.
    """
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: no such image folder (--images)")
    for image in dataset.images:
        path = folder / image.file_name
        try:
            size = upright_size(path)
        except UnreadableImageError as error:
            if unreadable is None:
                raise AnnotationError(f"image id {image.id}: {error}") from error
            unreadable.skip(path, f"image id {image.id}: {error}")
            continue
        except AnnotationError as error:
            raise AnnotationError(f"image id {image.id}: {error}") from error
        if size != (image.width, image.height):
            hint = turned_hint(path, (image.width, image.height), size)
            raise AnnotationError(
                f"image id {image.id}: {path} is {size[0]} x {size[1]} pixels upright, "
                f"the annotations say {image.width} x {image.height}{hint}"
            )

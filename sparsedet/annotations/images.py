"""Image files: their upright size, their pixels, and whether they agree with the annotations.

numpy, Pillow and OpenCV are imported where they are used: `sparsedet --help` loads this module.
"""

import hashlib
import io
import struct
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsedet.annotations.dataset import Dataset
from sparsedet.annotations.model import Image
from sparsedet.errors import AnnotationError, TooManyPixelsError, UnreadableImageError
from sparsedet.image_options import MOST_MEGAPIXELS
from sparsedet.runtime.unreadable import UnreadableImages

if TYPE_CHECKING:
    import numpy as np

_ORIENTATION_TAG = 0x0112
_TRANSPOSED = {5, 6, 7, 8}
"""EXIF orientations that swap width and height."""
_LEFT_TO_PILLOW = {b"WEBP", b"avif"}
"""Marks in a file's header of formats whose orientation OpenCV ignores or applies differently."""
_UPRIGHT_IN_PILLOW = {"TIFF"}
"""Formats whose orientation Pillow has applied to `size` already."""
_DECODED = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "AVIF", "GIF", "PPM", "JPEG2000", "SUN")
"""Formats, by Pillow's names, that `read_upright` decodes. Pillow opens dozens more; their parsers
see nothing of what strangers send."""
_MOST_PER_SIDE = 2**20
"""Pixels: OpenCV decodes no image that is wider or higher."""
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ENDINGS = {b"\xff\xd8": b"\xff\xd9", _PNG_SIGNATURE: b"IEND"}
"""How files begin -> what stands at their end."""
_TRAILER = 1 << 16
"""Bytes that some cameras and programs add after it, at most."""
_PNG_CHECKSUM = 4
"""Bytes after the content of each chunk."""


def upright_size(path: Path) -> tuple[int, int]:
    """Return (width, height) in pixels after EXIF orientation; only the header is read.

    Raises:
        UnreadableImageError: when the file is no image that can be decoded, or a larger one.
        AnnotationError: when there is no such file.
    """
    import PIL.Image

    # A header costs nothing, whatever size it gives; the check of the size is below.
    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        with PIL.Image.open(path, formats=_formats()) as image:
            width, height = image.size
            transposed = (
                image.format not in _UPRIGHT_IN_PILLOW
                # Where a PNG has none, Pillow decodes all of it to find out.
                and (image.format != "PNG" or _has_exif_chunk(path))
                and image.getexif().get(_ORIENTATION_TAG) in _TRANSPOSED
            )
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such image file") from None
    except Exception as error:
        # Parsers of broken files raise whatever they stumble over.
        raise UnreadableImageError(
            f"{path}: can't be read as an image ({error}); repair it, or take it out of the "
            "annotations"
        ) from error
    if not width or not height:
        raise UnreadableImageError(f"{path}: has {width} x {height} pixels; repair it")
    if width * height > MOST_MEGAPIXELS * 1e6 or max(width, height) > _MOST_PER_SIDE:
        raise TooManyPixelsError(
            f"{path}: has {width} x {height} pixels; at most {MOST_MEGAPIXELS:.0f} megapixels can "
            f"be decoded, and {_MOST_PER_SIDE} pixels on one side",
            width,
            height,
        )
    return (height, width) if transposed else (width, height)


def is_cut_off(path: Path) -> bool:
    """Return whether a JPEG or PNG file lacks its end; of other formats nothing is known."""
    with path.open("rb") as file:
        head = file.read(8)
        ending = next((mark for start, mark in _ENDINGS.items() if head.startswith(start)), b"")
        file.seek(max(path.stat().st_size - _TRAILER, 0))
        return ending not in file.read()


def file_digest(path: Path) -> str:
    """Return a name for a file's content: the same for the same bytes.

    Raises:
        AnnotationError: when there is no such file.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such image file") from None


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats to try; older versions of Pillow lack some."""
    import PIL.Image

    PIL.Image.init()
    return tuple(name for name in _DECODED if name in PIL.Image.OPEN)


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
        AnnotationError: naming the image's id, when it can't be read or has another size.
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
    import cv2
    import numpy as np

    try:
        data = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError:
        raise AnnotationError(f"{path}: no such image file") from None
    except OSError as error:
        raise AnnotationError(f"{path}: can't be read ({error.strerror})") from error
    if data[8:12].tobytes() in _LEFT_TO_PILLOW:
        return _read_with_pillow(path)
    # IMREAD_COLOR applies the EXIF orientation itself, in the other formats that have one.
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:
        # More pixels than OpenCV decodes, for one.
        raise AnnotationError(f"{path}: can't be decoded as an image ({error.err})") from error
    if image is None:
        raise AnnotationError(f"{path}: can't be decoded as an image; is the file complete?")
    return np.asarray(image, dtype=np.uint8)


def _read_with_pillow(path: Path) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    import numpy as np
    import PIL.Image
    import PIL.ImageOps

    try:
        with PIL.Image.open(path) as image:
            pixels = np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise AnnotationError(f"{path}: can't be decoded as an image ({error})") from error
    return np.ascontiguousarray(pixels[..., ::-1])


def check_images(
    dataset: Dataset, folder: Path, unreadable: UnreadableImages | None = None
) -> None:
    """Check that every image exists below `folder` with the size that the annotations give.

    Args:
        dataset: the images.
        folder: where their files are.
        unreadable: takes note of files that are no images; None: they are errors.

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
            hint = (
                "; the annotations seem to ignore the file's EXIF orientation"
                if size == (image.height, image.width)
                else ""
            )
            raise AnnotationError(
                f"image id {image.id}: {path} is {size[0]} x {size[1]} pixels upright, "
                f"the annotations say {image.width} x {image.height}{hint}"
            )

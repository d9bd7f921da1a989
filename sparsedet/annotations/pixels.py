"""Decode image files of all supported formats into 8-bit colours.

OpenCV handles what it decodes well: JPEG, PNG, BMP and the like. TIFF, GIF, WebP and AVIF go to
Pillow, which handles their alpha channels, frames and orientations.

Values of more than 8 bits are scaled by the bits in use: those declared in a PNG, else the
fewest of 8, 10, 12, 14 and 16 that hold the image's largest value. Cameras store 12 bits in 16,
which would look black. Floats from 0 to 1 are fractions, those from 0 to 255 are 8-bit values, and
all others are scaled from the image's least value to its largest.
"""

import contextlib
import functools
import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsedet.errors import TooManyPixelsError, UnreadableImageError
from sparsedet.image_options import MOST_MEGAPIXELS

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

    Values = np.ndarray[Any, np.dtype[Any]]
    Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_DECODED = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "AVIF", "GIF", "PPM", "JPEG2000", "SUN", "HEIF")
"""Formats, by Pillow's names, that `decode` accepts. Pillow opens dozens more, whose parsers are
not exposed to untrusted files."""
_MOST_PER_SIDE = 2**20
"""Pixels: OpenCV decodes no wider or higher image."""

_DEPTHS = (8, 10, 12, 14, 16)
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS_PER_SAMPLE = 258
"""TIFF's tag."""
_HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_PILLOW_BRANDS = (b"WEBP", b"avif", b"avis")
"""Marks of formats whose orientation OpenCV ignores or applies differently."""
_EIGHT_BITS = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB"})
"""Pillow's modes."""


def decode(data: "Pixels", path: Path) -> "Pixels":
    """Return the pixels of an image file, upright; uint8 of shape (H, W, 3), BGR.

    Args:
        data: the file's content, shape (N,).
        path: its name in errors.

    Raises:
        UnreadableImageError: naming the file.
    """
    head = data[:12].tobytes()
    brand = head[8:12]
    if brand in _PILLOW_BRANDS or brand in _HEIC or head.startswith((b"GIF8", *_TIFF)):
        return _by_pillow(data, path)
    values = _by_opencv(data, path)
    return scaled(values, _stated_bits(data) if head.startswith(_PNG) else None)


def scaled(values: "Values", bits: int | None = None) -> "Pixels":
    """Convert values of any type to 8 bits, as described in the module docstring.

    Args:
        values: of any shape.
        bits: number of bits in use in integers; None: see there.
    """
    import numpy as np

    if values.dtype == np.uint8:
        return np.asarray(values, dtype=np.uint8)
    if values.dtype == np.uint16:
        used = bits or int(values.max(initial=0)).bit_length()
        depth = next(depth for depth in _DEPTHS if used <= depth)
        return np.asarray(np.minimum(values >> (depth - 8), 255), dtype=np.uint8)
    floats = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(floats.min(initial=0)), float(floats.max(initial=0))
    if np.issubdtype(values.dtype, np.floating) and low >= 0 and high <= 1:
        floats *= 255
    elif low < 0 or high > 255:
        low = float(floats.min())
        floats = (floats - low) * (255 / (high - low) if high > low else 0)
    return np.asarray(np.rint(floats), dtype=np.uint8)


def open_image(source: "Path | io.BytesIO", path: Path) -> "PIL.Image.Image":
    """Open an image with Pillow, which only reads its header.

    Raises:
        UnreadableImageError: when a plugin is missing.
        OSError: when `decode` does not accept it.
    """
    import PIL.Image

    try:
        return PIL.Image.open(source, formats=_formats())
    except PIL.UnidentifiedImageError:
        if _is_heic(source):
            raise UnreadableImageError(
                f"{path}: is a HEIC file: install pillow-heif to read it, or convert it to JPEG"
            ) from None
        raise


def check_size(width: int, height: int, path: Path) -> None:
    """Refuse an image that is too large to decode.

    Raises:
        UnreadableImageError: naming the file.
    """
    if not width or not height:
        raise UnreadableImageError(f"{path}: has {width} x {height} pixels; repair it")
    if width * height > MOST_MEGAPIXELS * 1e6 or max(width, height) > _MOST_PER_SIDE:
        raise TooManyPixelsError(
            f"{path}: has {width} x {height} pixels; the maximum is {MOST_MEGAPIXELS:.0f} "
            f"megapixels, and {_MOST_PER_SIDE} pixels per side",
            width,
            height,
        )


def decoded_size(path: Path) -> tuple[int, int] | None:
    """Return (width, height) of a TIFF that only OpenCV reads; None for other files."""
    import cv2
    import numpy as np

    with path.open("rb") as file:
        if not file.read(4).startswith(_TIFF):
            return None
    values = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    return None if values is None else (values.shape[1], values.shape[0])


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return the formats to try; Pillow may lack some, and supports HEIF with pillow-heif.

    Disables Pillow's own pixel limit, which would refuse some images and warn of others.
    """
    import PIL.Image

    PIL.Image.MAX_IMAGE_PIXELS = None
    PIL.Image.init()
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return tuple(name for name in _DECODED if name in PIL.Image.OPEN)


def _is_heic(source: "Path | io.BytesIO") -> bool:
    if isinstance(source, Path):
        with source.open("rb") as file:
            return file.read(12)[8:] in _HEIC
    return source.getvalue()[8:12] in _HEIC


def _by_opencv(data: "Pixels", path: Path) -> "Values":
    import cv2

    # IMREAD_COLOR applies the EXIF orientation itself.
    try:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
        image: Values | None = cv2.imdecode(data, flags) if data.size else None
    except cv2.error as error:
        # For example more pixels than OpenCV decodes.
        raise UnreadableImageError(f"{path}: can't be decoded as an image ({error.err})") from error
    if image is None:
        raise UnreadableImageError(f"{path}: can't be decoded as an image (is the file complete?)")
    return image


def _by_pillow(data: "Pixels", path: Path) -> "Pixels":
    content = io.BytesIO(data.tobytes())
    try:
        with open_image(content, path) as image:
            check_size(*image.size, path)
            if image.mode in _EIGHT_BITS and _tiff_bits(image) > 8:
                # Pillow would keep the upper 8 bits of colours.
                return scaled(_by_opencv(data, path))
            return of_pillow(image)
    except UnreadableImageError:
        raise
    except Exception as error:
        # Parsers of broken files may raise anything.
        if data[:4].tobytes().startswith(_TIFF):
            return scaled(_by_opencv(data, path))
        raise UnreadableImageError(f"{path}: can't be decoded as an image ({error})") from error


def of_pillow(image: "PIL.Image.Image") -> "Pixels":
    """Return the pixels of a Pillow image, upright; uint8 of shape (H, W, 3), BGR."""
    import numpy as np
    import PIL.ImageOps

    upright = PIL.ImageOps.exif_transpose(image)
    if not upright.mode.startswith(("I", "F")):
        colours = np.asarray(upright.convert("RGB"), dtype=np.uint8)
        return np.ascontiguousarray(colours[..., ::-1])
    grey = scaled(np.asarray(upright))
    return np.repeat(grey[..., None], 3, axis=2)


def _tiff_bits(image: "PIL.Image.Image") -> int:
    """Return the bits per value of a TIFF; 0 for other files."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, 0)
    return max(bits) if isinstance(bits, tuple) else int(bits)


def _stated_bits(png: "Pixels") -> int | None:
    """Return the significant bits per value of a PNG, if declared (chunk sBIT)."""
    data, place = png[:4096].tobytes(), len(_PNG)
    while place + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"sBIT":
            bits = max(data[place + 8 : place + 8 + size], default=0)
            return bits if 8 <= bits <= 16 else None
        if kind == b"IDAT":
            return None
        place += size + 12
    return None

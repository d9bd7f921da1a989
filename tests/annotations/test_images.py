"""Image files: upright sizes, pixels, and contradictions to the annotations."""

import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from sparsedet.annotations import (
    Dataset,
    Image,
    check_images,
    read_upright,
    upright_size,
)
from sparsedet.annotations.images import is_cut_off
from sparsedet.errors import AnnotationError, TooManyPixelsError, UnreadableImageError
from sparsedet.runtime.unreadable import UnreadableImages

ORIENTATION = 0x0112


def _picture() -> PIL.Image.Image:
    """Return 40 x 20 pixels, a red corner that shows the orientation."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:8, :16] = (255, 0, 0)
    return PIL.Image.fromarray(pixels)


def _save(path: Path, orientation: int | None = None) -> Path:
    exif = PIL.Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    _picture().save(path, exif=exif)
    return path


def _dataset(file_name: str, width: int, height: int) -> Dataset:
    return Dataset((Image(12, file_name, width, height),), (), ())


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
def test_size_and_pixels_are_upright(suffix: str, orientation: int | None, tmp_path: Path) -> None:
    path = _save(tmp_path / f"a.{suffix}", orientation)
    with PIL.Image.open(path) as image:
        expected = np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"), dtype=int)
    pixels = read_upright(path)
    assert upright_size(path) == (expected.shape[1], expected.shape[0])
    assert pixels.shape == expected.shape
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    # Decoders differ along the edges of a compressed picture.
    assert np.abs(pixels[..., ::-1] - expected).mean() < 4


def test_grey_and_palette_images_become_three_channels(tmp_path: Path) -> None:
    _picture().convert("L").save(tmp_path / "grey.png")
    _picture().convert("P").save(tmp_path / "palette.png")
    assert read_upright(tmp_path / "grey.png").shape == (20, 40, 3)
    assert read_upright(tmp_path / "palette.png").shape == (20, 40, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such image file"), (b"", "can't be"), (b"no picture at all", "can't be")],
)
@pytest.mark.parametrize("read", [upright_size, read_upright])
def test_unreadable_file_is_named(
    read: object, content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    assert callable(read)
    with pytest.raises(AnnotationError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_only_the_header_of_a_png_is_read_for_its_size(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.png")
    # The signature, the chunk of the size, and a part of the pixels.
    path.write_bytes(path.read_bytes()[:50])
    assert upright_size(path) == (40, 20)
    with pytest.raises(AnnotationError, match="can't be decoded"):
        read_upright(path)


def test_a_png_may_say_how_it_is_turned_behind_its_pixels(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.png", orientation=6)
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    (size,) = struct.unpack_from(">I", data, start)
    exif, end = data[start : start + size + 12], len(data) - 12
    path.write_bytes(data[:start] + data[start + len(exif) : end] + exif + data[end:])
    assert upright_size(path) == (20, 40)
    assert read_upright(path).shape == (40, 20, 3)


def test_files_that_are_no_images_can_be_left_to_a_bound(tmp_path: Path) -> None:
    _save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"")
    entries = (Image(1, "good.png", 40, 20), Image(2, "bad.png", 40, 20))
    dataset = Dataset(entries, (), ())
    with pytest.raises(AnnotationError, match=r"image id 2: .*bad\.png: can't be read"):
        check_images(dataset, tmp_path)
    allowed = UnreadableImages(1, 2)
    check_images(dataset, tmp_path, allowed)
    assert list(allowed.reasons) == [tmp_path / "bad.png"]
    with pytest.raises(AnnotationError, match=r"1 of 2 images can't be read, .* allows 0"):
        check_images(dataset, tmp_path, UnreadableImages(0, 2))
    # A file that is missing is a mistake, however many may be broken.
    (tmp_path / "bad.png").unlink()
    with pytest.raises(AnnotationError, match="no such image file"):
        check_images(dataset, tmp_path, UnreadableImages(1, 2))


def test_truncated_webp_is_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.webp")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(AnnotationError, match=r"a\.webp: can't be decoded"):
        read_upright(path)


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(AnnotationError, match=r"a\.png: not a regular file"):
        read_upright(tmp_path / "a.png")


def test_more_pixels_than_opencv_decodes_are_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        sealed = kind + content
        return struct.pack(">I", len(content)) + sealed + struct.pack(">I", zlib.crc32(sealed))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    with pytest.raises(AnnotationError, match=r"a\.png: can't be decoded as an image \([^\n]*\)$"):
        read_upright(path)


def test_matching_images_pass(tmp_path: Path) -> None:
    _save(tmp_path / "a.jpg")
    check_images(_dataset("a.jpg", 40, 20), tmp_path)


def test_links_to_images_elsewhere_pass(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").symlink_to(_save(tmp_path / "store" / "a.jpg"))
    check_images(_dataset("a.jpg", 40, 20), tmp_path / "images")


@pytest.mark.parametrize(
    ("width", "height", "orientation", "message"),
    [
        (41, 20, None, "is 40 x 20 pixels upright, the annotations say 41 x 20"),
        (
            40,
            20,
            6,
            "is 20 x 40 pixels upright, the annotations say 40 x 20; "
            "the annotations seem to ignore the file's EXIF orientation",
        ),
        (
            20,
            40,
            None,
            "is 40 x 20 pixels upright, the annotations say 20 x 40; "
            "the annotations seem to have width and height swapped",
        ),
        (40, 20, 3, None),
        (20, 40, 6, None),
    ],
)
def test_sizes_are_compared_upright(
    width: int, height: int, orientation: int | None, message: str | None, tmp_path: Path
) -> None:
    _save(tmp_path / "a.jpg", orientation)
    dataset = _dataset("a.jpg", width, height)
    if message is None:
        check_images(dataset, tmp_path)
        return
    with pytest.raises(AnnotationError) as error:
        check_images(dataset, tmp_path)
    assert str(error.value).startswith(f"image id 12: {tmp_path / 'a.jpg'}")
    assert message in str(error.value)


def test_missing_image_is_named_with_its_id(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"image id 12: .*gone\.jpg: no such image file"):
        check_images(_dataset("gone.jpg", 40, 20), tmp_path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"nowhere: no such image folder"):
        check_images(_dataset("a.jpg", 40, 20), tmp_path / "nowhere")


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds no pixels."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT", b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


@pytest.mark.parametrize(
    ("width", "height"), [(40_000, 30_000), (2**31 - 1, 2**31 - 1), (2**20 + 1, 1)]
)
def test_sizes_that_nothing_decodes_are_said(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "a.png").write_bytes(png_header(width, height))
    with pytest.raises(
        TooManyPixelsError, match=f"has {width} x {height} pixels; the maximum is 1000"
    ):
        upright_size(tmp_path / "a.png")


def test_large_images_pass_without_a_word(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    # Pillow warns from 89 megapixels on, and refuses twice as many.
    (tmp_path / "a.png").write_bytes(png_header(20_000, 20_000))
    assert upright_size(tmp_path / "a.png") == (20_000, 20_000)
    assert not recwarn.list


@pytest.mark.parametrize("format", ["TGA", "ICO", "EPS", "PCX"])
def test_formats_that_are_never_decoded_are_not_parsed(tmp_path: Path, format: str) -> None:
    PIL.Image.new("RGB", (20, 10)).save(tmp_path / "a.img", format)
    with pytest.raises(UnreadableImageError, match="can't be read as an image"):
        upright_size(tmp_path / "a.img")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"])
def test_files_that_lost_their_end(tmp_path: Path, format: str) -> None:
    file = tmp_path / "a.img"
    PIL.Image.new("RGB", (20, 10)).save(file, format)
    assert not is_cut_off(file)
    file.write_bytes(file.read_bytes() + b"what a camera adds")
    assert not is_cut_off(file)
    file.write_bytes(file.read_bytes()[:-40])
    assert is_cut_off(file) == (format in ("JPEG", "PNG"))

"""Image files of unusual depths, channels and kinds: colours as a person sees them."""

import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from sparsedet.annotations import read_upright, upright_size
from sparsedet.annotations.pixels import scaled
from sparsedet.errors import UnreadableImageError

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (32, 1))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_bits_of_cameras_are_not_black(bits: int, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), RAMP.astype(np.uint16) << (bits - 8))
    assert np.array_equal(read_upright(path), np.repeat(RAMP[..., None], 3, axis=2))
    assert upright_size(path) == (64, 32)


def test_bits_that_a_png_states_count(tmp_path: Path) -> None:
    """A dark picture stays dark, where the file says how bright it could be."""
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((8, 8), 0x0FF, np.uint16))
    assert read_upright(path).max() == 0xFF
    data = path.read_bytes()
    end = 8 + 25  # signature, IHDR
    content = b"sBIT\x0c"
    chunk = b"\0\0\0\x01" + content + zlib.crc32(content).to_bytes(4, "big")
    path.write_bytes(data[:end] + chunk + data[end:])
    assert read_upright(path).max() == 0xFF >> 4


def test_alpha_of_a_tiff_leaves_its_colours(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[...] = (200, 50, 10, 128)
    PIL.Image.fromarray(pixels).save(tmp_path / "a.tif")
    assert read_upright(tmp_path / "a.tif")[0, 0].tolist() == [10, 50, 200]


@pytest.mark.parametrize(
    ("values", "darkest", "brightest"),
    [((0.0, 0.5), 0, 128), ((0.0, 128.0), 0, 128), ((-7.0, 993.0), 0, 255), ((5.0, 5.0), 5, 5)],
)
def test_floats(values: tuple[float, float], darkest: int, brightest: int, tmp_path: Path) -> None:
    picture = np.full((8, 8), values[0], np.float32)
    picture[2:] = values[1]
    picture[0, 0] = np.nan if values[0] == 0 else values[0]
    PIL.Image.fromarray(picture).save(tmp_path / "a.tif")
    pixels = read_upright(tmp_path / "a.tif")
    assert (pixels.min(), pixels.max()) == (darkest, brightest)


def test_colours_of_floats_and_16_bits(tmp_path: Path) -> None:
    colours = np.random.default_rng(1).random((8, 12, 3), np.float32)
    plain = [cv2.IMWRITE_TIFF_COMPRESSION, 1]
    cv2.imwrite(str(tmp_path / "float.tif"), colours, plain)
    assert upright_size(tmp_path / "float.tif") == (12, 8)
    expected = np.rint(colours.astype(np.float64) * 255)
    assert np.array_equal(read_upright(tmp_path / "float.tif"), expected)
    deep = (colours * 0xFFFF).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.tif"), deep)
    assert np.array_equal(read_upright(tmp_path / "deep.tif"), deep >> 8)


def test_a_gif_is_its_first_frame(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGB", (9, 7), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_upright(tmp_path / "a.gif")[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("read", [read_upright, upright_size])
def test_heic_names_the_plugin_that_reads_it(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    with pytest.raises(UnreadableImageError, match=r"a\.heic: is a HEIC file: .*pillow-heif"):
        read(path)


def test_large_images_are_read_up_to_one_limit(tmp_path: Path) -> None:
    """Pillow alone refuses this one, at 189 megapixels."""
    path = tmp_path / "large.png"
    PIL.Image.new("1", (19_000, 10_000)).save(path)
    assert upright_size(path) == (19_000, 10_000)
    side = 2**15
    data = bytearray(path.read_bytes())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(UnreadableImageError, match="the maximum is 1000 megapixels"):
        upright_size(path)


def test_eight_bits_stay_as_they_are() -> None:
    assert scaled(RAMP) is not None
    assert np.array_equal(scaled(RAMP), RAMP)

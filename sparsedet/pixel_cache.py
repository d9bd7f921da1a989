"""Decoded images up to a bound of memory, for all that a run does with them."""

from pathlib import Path

from sparsedet.annotations import Image, read_image
from sparsedet.modeling.inputs import UInt8Image, resize

_Key = tuple[Path, int, int]
"""A file, and the height and width of its pixels in the cache."""


class PixelCache:
    """Decoded images; those beyond the bound are decoded each time.

    Training and mining share one: what a stage has decoded nothing decodes again.
    """

    def __init__(self, limit: int) -> None:
        """Begin with an empty cache of at most `limit` bytes of pixels; 0 keeps nothing."""
        self.limit = limit
        self.bytes = 0
        """Of all pixels in it."""
        self._images: dict[_Key, UInt8Image] = {}

    def read(
        self, image: Image, folder: Path, size: tuple[int, int], *, keep_resized: bool = True
    ) -> UInt8Image:
        """Return the BGR pixels of an image, not to be written to.

        They are the same whether the cache has them or not.

        Args:
            image: the image.
            folder: where its file is.
            size: height and width to resize it to.
            keep_resized: whether to keep it at this size, for a caller who always asks for the
                same one, or as it was decoded.

        Raises:
            AnnotationError: naming the image, when it can't be decoded.
        """
        path = folder / image.file_name
        pixels = self._images.get((path, *size))
        if pixels is not None:
            return pixels
        decoded = self._images.get((path, image.height, image.width))
        if decoded is not None:
            return resize(decoded, *size)
        decoded = read_image(image, folder)
        resized = resize(decoded, *size)
        self._keep(path, resized if keep_resized else decoded)
        return resized

    def clear(self) -> None:
        """Forget everything."""
        self._images.clear()
        self.bytes = 0

    def _keep(self, path: Path, pixels: UInt8Image) -> None:
        if self.bytes + pixels.nbytes <= self.limit:
            height, width = pixels.shape[:2]
            self._images[path, height, width] = pixels
            self.bytes += pixels.nbytes

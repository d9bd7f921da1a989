"""Pictures of every recipe's removals, for `splits/pictures` and the manual.

    python benchmarks/recipes.py [--data DIR --image NAME]

DIR contains a COCO file `train.json` and `images/`; the default is 60 generated scenes of
handwritten digits. Every recipe is applied to the whole dataset, and one image is drawn: kept boxes
solid, removed ones dashed. Writes `splits/pictures/<recipe>.jpg` and, of five recipes side by side,
`benchmarks/results/recipes/recipes.jpg`.

The pictures in the repository come from the BCCD blood cells (MIT licence,
https://github.com/Shenggan/BCCD_Dataset): `--data bccd --image BloodImage_00020.jpg --seed 4`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from sparsedet.annotations import Dataset, Image, read_coco, read_upright
from sparsedet.atomic_io import atomic_path
from sparsedet.errors import SparseDetError
from sparsedet.reporting.pictures import HUMAN, REJECTED, BoxStyle, DrawnBox, draw_boxes
from sparsedet.simulation.scenes import make_scenes
from sparsedet.sparsify import load_recipe, recipe_names, remove_boxes

FIVE = ("random", "keep1", "skip-small", "skip-border", "skip-repeated")
COLUMNS = 3
KEPT = BoxStyle("kept", "kept", HUMAN.colour)
REMOVED = BoxStyle("removed", "removed by the recipe", REJECTED.colour, "dashed")

WIDTH = 480
"""Size of one picture in pixels, like all lengths below."""
GAP = 10
CAPTION = 30
FONT_SIZE = 18
QUALITY = 85
SCENES = 60

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Example:
    """One image of a dataset under the recipes."""

    dataset: Dataset
    image: Image
    pixels: Pixels
    seed: int

    def all_labels(self) -> tuple[Pixels, str]:
        """Return the image with all its boxes, and a caption."""
        boxes = self.dataset.boxes_by_image[self.image.id]
        drawn = [DrawnBox(box.xyxy, "", KEPT) for box in boxes]
        return self._draw(drawn), f"all labels: {len(boxes)} boxes"

    def under(self, name: str) -> tuple[Pixels, str]:
        """Return the image under a recipe, and a caption."""
        parts = remove_boxes(self.dataset, load_recipe(name), self.seed)
        kept, removed = (part.boxes_by_image[self.image.id] for part in parts)
        drawn = [
            *(DrawnBox(box.xyxy, "", REMOVED) for box in removed),
            *(DrawnBox(box.xyxy, "", KEPT) for box in kept),
        ]
        gone = len(parts[1].boxes) / len(self.dataset.boxes)
        return self._draw(
            drawn
        ), f"{name}: {len(removed)} of {len(drawn)} removed ({gone:.0%} overall)"

    def _draw(self, boxes: Sequence[DrawnBox]) -> Pixels:
        return draw_boxes(self.pixels, boxes, max_width=WIDTH)


def main() -> None:
    """Draw the pictures of one dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="default: generated scenes of digits")
    parser.add_argument("--image", help="file name; default: the image with the most boxes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pictures", type=Path, default=Path("splits/pictures"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/recipes"))
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        if options.data:
            dataset, folder = read_coco(options.data / "train.json"), options.data / "images"
        else:
            folder = Path(temporary)
            dataset = make_scenes(SCENES, folder, options.seed)
        image = chosen_image(dataset, options.image)
        pixels = read_upright(folder / image.file_name)
    example = Example(dataset, image, pixels, options.seed)
    for name in recipe_names():
        picture, caption = example.under(name)
        write_jpeg(captioned(picture, caption), options.pictures / f"{name}.jpg")
        print(caption)
    panels = [example.all_labels(), *(example.under(name) for name in FIVE)]
    write_jpeg(grid([captioned(*panel) for panel in panels]), options.results / "recipes.jpg")


def chosen_image(dataset: Dataset, name: str | None) -> Image:
    """Return the image of that name, or the one with the most boxes."""
    if name is None:
        return max(dataset.images, key=lambda image: len(dataset.boxes_by_image[image.id]))
    for image in dataset.images:
        if image.file_name == name:
            return image
    raise SparseDetError(f"--image {name}: no such image in the dataset")


def captioned(picture: Pixels, caption: str) -> Pixels:
    """Return a BGR picture with a caption above it."""
    canvas = PIL.Image.new("RGB", (picture.shape[1], picture.shape[0] + CAPTION), "white")
    canvas.paste(PIL.Image.fromarray(np.ascontiguousarray(picture[..., ::-1])), (0, CAPTION))
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    font = PIL.ImageFont.truetype(str(path), FONT_SIZE)
    PIL.ImageDraw.Draw(canvas).text((2, 3), caption, font=font, fill="black")
    return np.ascontiguousarray(np.asarray(canvas, dtype=np.uint8)[..., ::-1])


def grid(pictures: Sequence[Pixels]) -> Pixels:
    """Return pictures of one size in rows of `COLUMNS`, with white gaps."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // COLUMNS)
    shape = (rows * (height + GAP) - GAP, COLUMNS * (width + GAP) - GAP, 3)
    canvas = np.full(shape, 255, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        top = index // COLUMNS * (height + GAP)
        left = index % COLUMNS * (width + GAP)
        canvas[top : top + height, left : left + width] = picture
    return canvas


def write_jpeg(picture: Pixels, path: Path) -> None:
    with atomic_path(path) as temporary:
        PIL.Image.fromarray(np.ascontiguousarray(picture[..., ::-1])).save(
            temporary, format="JPEG", quality=QUALITY
        )


if __name__ == "__main__":
    main()

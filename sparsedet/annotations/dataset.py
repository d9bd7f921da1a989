"""The central data type: images with their annotations."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sparsedet.annotations.model import Box, Category, Image, no_keys

if TYPE_CHECKING:
    from sparsedet.annotations.table import BoxTable


def lost_classes(removed: Iterable[Box]) -> dict[int, set[int]]:
    """Return the classes of lost boxes: image id -> category ids."""
    lost: dict[int, set[int]] = {}
    for box in removed:
        lost.setdefault(box.image_id, set()).add(box.category_id)
    return lost


@dataclass(frozen=True)
class Dataset:
    """Images with their annotations. Immutable: every change returns a new one."""

    images: tuple[Image, ...]
    boxes: Sequence[Box]
    """A tuple, or the `BoxTable` of a file; never modified in place."""
    categories: tuple[Category, ...]
    verified_negatives: tuple[Box, ...] = ()
    """Verified negatives: boxes that a reviewer rejected for their class."""
    extra: Mapping[str, Any] = field(default_factory=no_keys)
    """Unknown top-level keys of the source file (info, licenses, ...)."""
    left_out: frozenset[str] = field(default=frozenset(), compare=False)
    """Tool ids of project images left out by a pull; not stored in files."""
    left_out_labels: frozenset[str] = field(default=frozenset(), compare=False)
    """Project labels left out by a pull; not stored in files."""

    unread: frozenset[str] = frozenset()
    """Tool ids of images that are still in the annotation tool but could not be read this time:
    their known state is kept."""

    @property
    def not_pulled(self) -> frozenset[str]:
        """Tool ids of images in the annotation tool that are missing from this dataset."""
        return self.unread | self.left_out

    @cached_property
    def image_by_id(self) -> Mapping[int, Image]:
        """Images by id."""
        return {image.id: image for image in self.images}

    @cached_property
    def category_by_id(self) -> Mapping[int, Category]:
        """Categories by id."""
        return {category.id: category for category in self.categories}

    @cached_property
    def boxes_by_image(self) -> Mapping[int, tuple[Box, ...]]:
        """Annotations by image id, in file order; images without any have an empty tuple."""
        return self._by_image(self.boxes)

    @cached_property
    def negatives_by_image(self) -> Mapping[int, tuple[Box, ...]]:
        """Verified negatives by image id; images without any have an empty tuple."""
        return self._by_image(self.verified_negatives)

    @cached_property
    def table(self) -> "BoxTable":
        """The annotations in columns."""
        # Imported here since numpy takes 0.1 s to import, which `--help` does without.
        from sparsedet.annotations.table import BoxTable

        return BoxTable.of(self.boxes)

    def with_boxes(self, boxes: Iterable[Box]) -> "Dataset":
        """Return the same images and categories with other annotations.

        A class that loses a box on an image is removed from its `complete_classes`.
        """
        kept = tuple(boxes)
        changed = replace(self, boxes=kept)
        if not any(image.complete_classes for image in self.images):
            return changed
        ids = {box.id for box in kept}
        gone = lost_classes(box for box in self.boxes if box.id not in ids)
        return replace(
            changed,
            images=tuple(
                replace(image, complete_classes=image.complete_classes - gone[image.id])
                if image.id in gone
                else image
                for image in self.images
            ),
        )

    def with_images(self, images: Iterable[Image]) -> "Dataset":
        """Return the subset of the dataset on `images`, with annotations and verified negatives."""
        kept = tuple(images)
        ids = {image.id for image in kept}
        return replace(
            self,
            images=kept,
            boxes=self.table.on_images(ids),
            verified_negatives=tuple(box for box in self.verified_negatives if box.image_id in ids),
        )

    @cached_property
    def has_class_marks(self) -> bool:
        """Whether some image is complete in some classes only: see `Image.complete_classes`."""
        return any(image.complete_classes and not image.exhaustive for image in self.images)

    def is_complete(self, image: Image) -> bool:
        """Return whether every object of every class has a box on an image."""
        return image.exhaustive or (
            bool(self.categories) and image.complete_classes >= self.category_by_id.keys()
        )

    def counts(self) -> dict[str, int]:
        """Return the number of annotations per category name, without crowd regions."""
        counted = Counter(self.table.category_ids[~self.table.iscrowd].tolist())
        return {category.name: counted[category.id] for category in self.categories}

    def _by_image(self, boxes: Iterable[Box]) -> dict[int, tuple[Box, ...]]:
        grouped: dict[int, list[Box]] = {image.id: [] for image in self.images}
        for box in boxes:
            grouped[box.image_id].append(box)
        return {image_id: tuple(own) for image_id, own in grouped.items()}

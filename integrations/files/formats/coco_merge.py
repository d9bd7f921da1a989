"""Merges the splits of a COCO folder into one dataset."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.annotations import faults as kinds
from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import Loaded

from .image_folders import normal


def merged(parts: Sequence[tuple[str, Loaded]], faults: Faults) -> Loaded:
    """Merge splits into one dataset; an image in several splits stays in the first.

    Ids are kept unless another split has them; classes are matched by name.

    Args:
        parts: name and content of each split.
        faults: records images that are in several splits.

    Raises:
        AnnotationError: if only some of the splits have an image folder.
    """
    folders = [loaded.images for _, loaded in parts]
    known = [folder for folder in folders if folder is not None]
    if known and len(known) < len(folders):
        without = [name for name, part in parts if part.images is None and part.dataset.images]
        if without:
            raise AnnotationError(
                f"{faults.source}: where are the images of {', '.join(without)}? Choose a split "
                "with --split"
            )
    root = Path(os.path.commonpath([normal(folder) for folder in known])) if known else None
    whole = _Whole()
    for (name, loaded), folder in zip(parts, folders, strict=True):
        prefix = "" if folder is None or root is None else _prefix(root, folder)
        if not known and len(parts) > 1:
            prefix = f"{name}/"  # the only way to distinguish images of the same name
        whole.add(name, loaded.dataset, prefix, faults)
    images = known[0] if known and len({*map(normal, known)}) == 1 else root
    return Loaded(whole.dataset(parts[0][1].dataset), images)


class _Whole:
    def __init__(self) -> None:
        self.images: dict[str, Image] = {}
        self.boxes: list[Box] = []
        self.negatives: list[Box] = []
        self.categories: dict[str, Category] = {}
        self._split_of: dict[str, str] = {}
        self._image_ids, self._box_ids = _Ids(), _Ids()
        self._negative_ids, self._category_ids = _Ids(), _Ids()

    def add(self, split: str, dataset: Dataset, prefix: str, faults: Faults) -> None:
        categories = {c.id: self._category(c) for c in dataset.categories}
        image_ids: dict[int, int] = {}
        for image in dataset.images:
            name = prefix + image.file_name
            if name in self.images:
                where = f"{split}: {name}"
                message = f"{faults.source}: {name} is in {self._split_of[name]} and in {split}"
                faults.note(kinds.IMAGE_IN_TWO_SPLITS, where, message)
                continue
            image_ids[image.id] = self._image_ids.free(image.id)
            self._split_of[name] = split
            self.images[name] = replace(
                image,
                id=image_ids[image.id],
                file_name=name,
                complete_classes=frozenset(categories[id] for id in image.complete_classes),
            )
        for boxes, all, ids in (
            (dataset.boxes, self.boxes, self._box_ids),
            (dataset.verified_negatives, self.negatives, self._negative_ids),
        ):
            all += [
                replace(
                    box,
                    id=ids.free(box.id),
                    image_id=image_ids[box.image_id],
                    category_id=categories[box.category_id],
                )
                for box in boxes
                if box.image_id in image_ids
            ]

    def dataset(self, first: Dataset) -> Dataset:
        return Dataset(
            tuple(self.images.values()),
            tuple(self.boxes),
            tuple(self.categories.values()),
            tuple(self.negatives),
            first.extra,
        )

    def _category(self, category: Category) -> int:
        if category.name not in self.categories:
            own = self._category_ids.free(category.id)
            self.categories[category.name] = replace(category, id=own)
        return self.categories[category.name].id


class _Ids:
    """Used ids."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._highest = 0

    def free(self, id: int) -> int:
        """Reserve and return an id, or the next free one."""
        if id in self._taken:
            id = self._highest + 1
        self._taken.add(id)
        self._highest = max(self._highest, id)
        return id


def _prefix(root: Path, folder: Path) -> str:
    relative = normal(folder).relative_to(root).as_posix()
    return "" if relative == "." else f"{relative}/"

"""Annotations in a COCO file: unknown keys and entries are kept."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from math import inf
from operator import itemgetter
from pathlib import Path
from typing import Any

from sparsedet.annotations import Dataset
from sparsedet.annotations.coco import from_coco
from sparsedet.annotations.entries import DECIMALS, name_of_entry, xywh
from sparsedet.annotations.lvis import with_unsure
from sparsedet.atomic_io import read_json
from sparsedet.errors import AnnotationError, SparseDetError, ToolError
from sparsedet.reviews import Changes, ReviewedRegion

from .annotation_files import (
    Prepared,
    file_digest,
    identify,
    replace_unchanged,
    with_present_names,
)
from .formats.coco_images import plain_names
from .formats.coco_layout import find_images, names_in
from .json_style import JsonStyle

_MARK_KEYS = ("exhaustive", "complete_classes")
_ID_KEYS = ("id", "image_id", "category_id")


@dataclass(frozen=True, slots=True)
class _Marks:
    """The complete marks of an entry of `images`."""

    exhaustive: bool
    classes: Collection[int]
    """Category ids in the file."""


class CocoFiles:
    """A COCO file; its images are where `find_images` finds them.

    Images are named as in their folder; the file keeps its own names.

    Args:
        path: the file.
        rename: see `with_present_names`.
    """

    holds_complete = True
    is_one_file = True

    def __init__(self, path: Path, rename: Mapping[str, str]) -> None:
        self._path = path
        self._rename = rename
        self._digest = file_digest(path)  # before reading, to detect a concurrent save
        try:
            self._content = read_json(path)
        except SparseDetError as error:
            raise AnnotationError(str(error)) from error
        names = plain_names(self._content)
        folder = find_images(path, names)
        self.images: Path | None = folder or path.parent / "images"
        self._names = {} if folder is None else names_in(folder, names)
        self.dataset = self._dataset(self._content)

    def file_of(self, image: str) -> Path:
        """All images are in the one file."""
        return self._path

    def content_of(self, image: str) -> Any:
        """Return the entries of an image's annotations, with the names of their categories.

        And their positions in the file.
        """
        id = self._image_ids[image]
        entries = self._entries.get(id, [])
        marked = self._marked_ids(id)
        used = {*marked, *(entry["category_id"] for entry in entries)}
        return {
            "annotations": entries,
            "positions": [self._positions[entry["id"]] for entry in entries],
            "categories": {
                entry["name"]: entry["id"]
                for entry in self._content["categories"]
                if entry["id"] in used
            },
            "exhaustive": self.dataset.image_by_id[id].exhaustive,
            "complete_classes": marked,
        }

    def is_restored(self, image: str, content: Any) -> bool:
        """Whether an image has the same annotations again; ids in the file may have changed."""
        return _comparable(self.content_of(image)) == _comparable(content)

    def is_written(self, image: str, written: str) -> bool:
        """Whether an image has the version that a merge was about to write."""
        return self.dataset.image_by_id[self._image_ids[image]].tool_version == written

    def prepare(self, changes: Mapping[str, Changes]) -> Prepared:
        """Prepare the changes, which are written at once."""
        annotations = {entry["id"]: entry for entry in self._content["annotations"]}
        numbers = count(max(annotations, default=0) + 1)
        marks: dict[int, _Marks] = {}
        for image, change in changes.items():
            id = self._image_ids[image]
            boxes = {box.tool_id: box.id for box in self.dataset.boxes_by_image[id]}
            for box_id in change.removed:
                del annotations[boxes[box_id]]
            for box_id, region in change.edited.items():
                annotations[boxes[box_id]] = self._edited(annotations[boxes[box_id]], region)
            for decision in change.added.values():
                entry = self._added(next(numbers), id, decision.region, decision.origin)
                annotations[entry["id"]] = entry
            if change.marks_complete or change.completed_classes:
                classes = self._stored_ids(change.completed_classes) | self._complete_ids(id)
                whole = change.marks_complete or self.dataset.image_by_id[id].exhaustive
                marks[id] = _Marks(whole, classes)
        content, versions = self._changed(annotations.values(), marks)

        def write() -> Mapping[str, str | None]:
            self._write(content)
            return versions

        return Prepared({image: str(versions[image]) for image in changes}, write)

    def put_back(self, contents: Mapping[str, Any]) -> None:
        """Restore the entries of all images at once, where they were in the file.

        Those whose id is taken get a new one.
        """
        replaced = {self._image_ids[image]: content for image, content in contents.items()}
        kept = [e for e in self._content["annotations"] if e["image_id"] not in replaced]
        taken = {entry["id"] for entry in kept}
        before = [entry for content in contents.values() for entry in content["annotations"]]
        numbers = count(max([*taken, *(entry["id"] for entry in before)], default=0) + 1)
        now = {entry["name"]: entry["id"] for entry in self._content["categories"]}
        restored: list[tuple[float, Any]] = []
        for image_id, content in replaced.items():
            names = {number: name for name, number in content["categories"].items()}
            if missing := set(names.values()) - now.keys():
                raise ToolError(f"{self._path}: no longer has the category {min(missing)!r}")
            # Merges of earlier versions had no positions; their entries come last.
            places = content.get("positions") or [inf] * len(content["annotations"])
            for place, entry in zip(places, content["annotations"], strict=True):
                number = next(numbers) if entry["id"] in taken else entry["id"]
                taken.add(number)
                category = now[names[entry["category_id"]]]
                ids = {"id": number, "image_id": image_id, "category_id": category}
                restored.append((place, {**entry, **ids}))
        content, _ = self._changed(
            _in_places(kept, restored),
            {
                image_id: _Marks(
                    content["exhaustive"],
                    {
                        now[name]
                        for name, number in content["categories"].items()
                        # Merges of earlier versions had no class marks.
                        if number in content.get("complete_classes", ())
                    },
                )
                for image_id, content in replaced.items()
            },
        )
        self._write(content)

    def _write(self, content: Any) -> None:
        data = b""
        with suppress(FileNotFoundError):  # then it is not replaced either
            data = self._path.read_bytes()
        replace_unchanged(self._path, self._digest, JsonStyle.of(data).encode(content))

    @cached_property
    def _image_ids(self) -> Mapping[str, int]:
        return {image.file_name: image.id for image in self.dataset.images}

    @cached_property
    def _category_ids(self) -> Mapping[str, int]:
        return {category.name: category.id for category in self.dataset.categories}

    def _marked_ids(self, image_id: int) -> list[int]:
        """Return the category ids in the file that an image's entry marks as complete."""
        entry = self._image_entries[image_id]
        return sorted(entry.get("complete_classes") or ())

    def _complete_ids(self, image_id: int) -> set[int]:
        """Return the complete classes of an image, which LVIS's keys give as well.

        Where an image has marks of our own, those keys don't count.
        """
        marked = self._marked_ids(image_id)
        complete = self.dataset.image_by_id[image_id].complete_classes
        names = {self.dataset.category_by_id[id].name for id in complete}
        return set(marked) if marked else self._stored_ids(names)

    def _stored_ids(self, names: Collection[str]) -> set[int]:
        """Return category ids in the file by current name."""
        return {
            entry["id"]
            for entry in self._content["categories"]
            if self._rename.get(entry["name"], entry["name"]) in names
        }

    @cached_property
    def _image_entries(self) -> Mapping[int, Mapping[str, Any]]:
        return {entry["id"]: entry for entry in self._content["images"]}

    @cached_property
    def _positions(self) -> Mapping[int, int]:
        return {entry["id"]: place for place, entry in enumerate(self._content["annotations"])}

    @cached_property
    def _entries(self) -> Mapping[int, list[Mapping[str, Any]]]:
        entries: dict[int, list[Mapping[str, Any]]] = {}
        for entry in self._content["annotations"]:
            entries.setdefault(entry["image_id"], []).append(entry)
        return entries

    def _dataset(self, content: Any) -> Dataset:
        if self._names:
            images = [self._named_as_in_folder(entry) for entry in content["images"]]
            content = {**content, "images": images}
        return identify(
            with_present_names(from_coco(content, source=str(self._path)), self._rename)
        )

    def _named_as_in_folder(self, entry: Any) -> Any:
        name = name_of_entry(entry) if isinstance(entry, dict) else None
        found = self._names.get(name.replace("\\", "/")) if isinstance(name, str) else None
        return entry if found is None else {**entry, "file_name": found}

    def _changed(
        self, annotations: Iterable[Any], marks: Mapping[int, _Marks]
    ) -> tuple[Any, Mapping[str, str | None]]:
        """Return the file's content with new annotations and marks by image id.

        With the versions of all images then.
        """
        entries = list(annotations)
        images = (
            _marked(entry, marks[entry["id"]]) if entry["id"] in marks else entry
            for entry in self._content["images"]
        )
        before, now = _classes(self._content["annotations"]), _classes(entries)
        content = {
            **self._content,
            "annotations": entries,
            "images": [
                with_unsure(entry, before[entry["id"]], now[entry["id"]]) for entry in images
            ],
        }
        after = self._dataset(content)
        return content, {image.file_name: image.tool_version for image in after.images}

    def _edited(self, entry: Mapping[str, Any], region: ReviewedRegion) -> dict[str, Any]:
        category = self._category_ids[region.category]
        edited = {**entry, "category_id": category, "bbox": xywh(region.xyxy)}
        # Otherwise the area is that of the mask. Label Studio writes an empty one for a box.
        if not entry.get("segmentation"):
            edited["area"] = _area(region)
        return edited

    def _added(
        self, number: int, image_id: int, region: ReviewedRegion, origin: str
    ) -> dict[str, Any]:
        return {
            "id": number,
            "image_id": image_id,
            "category_id": self._category_ids[region.category],
            "bbox": xywh(region.xyxy),
            "area": _area(region),
            "iscrowd": 0,
            "origin": origin,
            "tool_id": region.region_id,
        }


def _in_places(kept: list[Any], restored: list[tuple[float, Any]]) -> list[Any]:
    """Return all entries, the restored ones at their positions as far as the others reach."""
    entries: list[Any] = []
    rest = iter(kept)
    for place, entry in sorted(restored, key=itemgetter(0)):
        if place > len(entries):
            entries.extend(islice(rest, None if place == inf else int(place) - len(entries)))
        entries.append(entry)
    return [*entries, *rest]


def _marked(entry: Mapping[str, Any], marks: _Marks) -> dict[str, Any]:
    marked = {key: value for key, value in entry.items() if key not in _MARK_KEYS}
    if marks.exhaustive:
        marked["exhaustive"] = True
    if marks.classes:
        marked["complete_classes"] = sorted(marks.classes)
    return marked


def _classes(annotations: Iterable[Any]) -> defaultdict[int, set[int]]:
    """Return the annotated categories by image."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    for entry in annotations:
        found[entry["image_id"]].add(entry["category_id"])
    return found


def _comparable(content: Any) -> tuple[bool, list[str], list[str]]:
    """Return what `content_of` returned without ids, which change when others are in use."""
    names = {number: name for name, number in content["categories"].items()}
    entries = [
        {k: v for k, v in entry.items() if k not in _ID_KEYS}
        | {"category_id": names[entry["category_id"]]}
        for entry in content["annotations"]
    ]
    marked = sorted(names[id] for id in content.get("complete_classes", ()))
    return content["exhaustive"], marked, sorted(json.dumps(e, sort_keys=True) for e in entries)


def _area(region: ReviewedRegion) -> float:
    left, top, right, bottom = region.xyxy
    return round((right - left) * (bottom - top), DECIMALS)

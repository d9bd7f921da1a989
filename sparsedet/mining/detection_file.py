"""Detections of any model: a COCO results list, or a COCO file whose annotations have scores.

An open-vocabulary detector, an ensemble, an API: any source of boxes may propose some.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np

from sparsedet.annotations import Dataset, Image
from sparsedet.annotations.entries import THINNEST
from sparsedet.atomic_io import read_json
from sparsedet.errors import AnnotationError
from sparsedet.mining.detections import Detections
from sparsedet.wording import counted, first_of

Key = TypeVar("Key", int, str)

logger = logging.getLogger(__name__)

IMAGES_SUFFIX = ".images.json"
"""Suffix of the file next to a results list that lists images and categories."""
_NAMES = ("label", "category_name", "class")
"""Keys under which entries may name their class."""
_LONGEST_ID = 19
"""Digits of a 64-bit number."""


def read_detections(
    path: Path, dataset: Dataset, names: Mapping[str, str] | None = None
) -> list[Detections]:
    """Read detections on a dataset's images; one `Detections` for every image, in order.

    A results list of `sparsedet predict` has a file next to it that lists its images and classes.

    Entries have `bbox` (XYWH in pixels), `score` (0 to 1), `image_id` or `file_name`, and
    `category_id` or a name under `label`, `category_name` or `class`. Category ids are those of the
    file's own categories if it lists any, else the dataset's. Entries on other images are ignored:
    a model may have seen more of them. File names may lack or have other folders, if the file name
    alone identifies the image; an `image_id` may be such a name, with or without its suffix, as in
    the predictions of Ultralytics. Boxes are clipped to their image; those without an area are left
    out.

    Args:
        path: the file.
        dataset: the images and classes.
        names: name or id of a class in the file -> its name in the dataset; "" leaves the class
            out.

    Raises:
        AnnotationError: naming the invalid entry, classes that the dataset lacks, or when no entry
            is on an image of the dataset.
    """
    entries, listed = _content(path)
    images = _Images(dataset, listed, entries, path)
    classes = _Classes(dataset, listed, names or {})
    rows: dict[int, list[tuple[float, int, list[float]]]] = {i.id: [] for i in dataset.images}
    outside: list[str] = []
    flat: list[str] = []
    for number, entry in enumerate(entries):
        where = f"{path}: entry {number}"
        if not isinstance(entry, dict):
            raise AnnotationError(f"{where}: not an object")
        image_id = images.of(entry, where)
        category_id = classes.of(entry, where)
        box, score = _box(entry, where)
        if image_id is None or category_id is None:
            continue
        if box is None:
            flat.append(where)
            continue
        inside = _inside(box, dataset.image_by_id[image_id])
        if inside is None:
            outside.append(where)
        else:
            rows[image_id].append((score, category_id, inside))
    if classes.unknown:
        unknown = first_of(sorted(classes.unknown))
        raise AnnotationError(
            f"{path}: classes that the data does not have: {unknown}; map them with --map "
            "THEIRS=OURS (--map THEIRS= leaves one out)"
        )
    if flat:
        boxes = counted(len(flat), "box without an area", "boxes without an area")
        _warn(path, boxes, "[x, y, width, height]?", flat[0])
    if outside:
        boxes = counted(len(outside), "box outside of the image", "boxes outside of their image")
        _warn(path, boxes, "[x, y, width, height], in pixels of the upright image?", outside[0])
    if entries and not outside and not flat and not any(rows.values()):
        raise AnnotationError(
            f"{path}: {counted(len(entries), 'entry', 'entries')}, but none on an image of the "
            "data; image ids or file names must be the same"
        )
    return [_detections(image_id, found) for image_id, found in rows.items()]


def class_names(path: Path, names: Mapping[str, str] | None = None) -> list[str]:
    """Return the classes listed in a file of detections, by their names in the dataset.

    Args:
        path: see `read_detections`.
        names: see `read_detections`.
    """
    table = names or {}
    listed = _content(path)[1].get("categories")
    found = []
    for number, name in _listed_classes(listed).items():
        key = next((key for key in (name, str(number)) if key in table), None)
        found.append(name if key is None else table[key])
    return [name for name in dict.fromkeys(found) if name]


def _content(path: Path) -> tuple[list[Any], Mapping[str, Any]]:
    """Return a file's entries, and the list of its images and classes; empty if there is none."""
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return content["annotations"], content
    if not isinstance(content, list):
        raise AnnotationError(f"{path}: neither a COCO results list nor a COCO file")
    sibling = path.with_suffix(IMAGES_SUFFIX)
    listed = read_json(sibling) if sibling.is_file() else {}
    return content, listed if isinstance(listed, dict) else {}


class _Images:
    """Finds the dataset image of an entry."""

    def __init__(
        self, dataset: Dataset, content: Mapping[str, Any], entries: Sequence[Any], path: Path
    ) -> None:
        self._names = {image.file_name: image.id for image in dataset.images}
        paths = {PurePosixPath(name): id for name, id in self._names.items()}
        self._bases = _unique((path.name, id) for path, id in paths.items())
        self._bare = _unique((str(path.with_suffix("")), id) for path, id in paths.items())
        self._stems = _unique((path.stem, id) for path, id in paths.items())
        self._ids: dict[float | str, int | None] = {image.id: image.id for image in dataset.images}
        listed = content.get("images")
        if isinstance(listed, list):
            self._ids = {
                image["id"]: self._named(str(image.get("file_name")).replace("\\", "/"))
                for image in listed
                if isinstance(image, dict) and isinstance(image.get("id"), int | str)
            }
        elif numbers := self._numbers_in_names(entries):
            self._ids = {}
            self._ids.update(numbers.items())
            logger.warning(
                "%s: its image ids are none of the data; they are read as the numbers in file "
                "names",
                path,
            )

    def of(self, entry: Mapping[str, Any], where: str) -> int | None:
        """Return its id; None if the dataset lacks it."""
        name = entry.get("file_name")
        if isinstance(name, str):
            return self._named(name.replace("\\", "/"))
        key = entry.get("image_id")
        if isinstance(key, str):
            return self._by_text(key, where)
        # Programs that compute with tables write 7 as 7.0, which is the same key.
        return self._ids.get(key) if isinstance(key, int | float) else None

    def _by_text(self, text: str, where: str) -> int | None:
        """Return the id of the image that a text identifies: by name, by stem, or by id.

        Raises:
            AnnotationError: when it is the stem of one image and the id of another.
        """
        if text in self._ids:
            return self._ids[text]
        name = text.replace("\\", "/")
        named = self._named(name)
        for names in (self._bare, self._stems):
            named = names.get(name) if named is None else named
        number = _number(text)
        by_id = None if number is None else self._ids.get(number)
        if named is not None and by_id not in (None, named):
            raise AnnotationError(
                f"{where}: image_id {text!r} is the file name of one image, and the id of another; "
                "write ids as numbers, or names as file_name"
            )
        return by_id if named is None else named

    def _numbers_in_names(self, entries: Sequence[Any]) -> Mapping[int, int]:
        """Return the image ids by the number that is their stem, if the entries mean these.

        Ultralytics writes the image `000123.jpg` as 123. Empty if the ids may be those of the data.
        """
        found = {
            entry["image_id"]
            for entry in entries
            if isinstance(entry, dict)
            and isinstance(entry.get("image_id"), int | float)
            and not isinstance(entry.get("file_name"), str)
        }
        numbers = _unique(
            (number, id)
            for stem, id in self._stems.items()
            if (number := _number(stem)) is not None
        )
        meant = found and found <= numbers.keys() and found.isdisjoint(self._ids)
        return numbers if meant else {}

    def _named(self, name: str) -> int | None:
        """Return the id of the image of that name, or with the same file in another folder."""
        found = self._names.get(name)
        return self._bases.get(PurePosixPath(name).name) if found is None else found


def _unique(pairs: Iterable[tuple[Key, int]]) -> dict[Key, int]:
    """Return the mapping of pairs, without keys that occur more than once."""
    pairs = list(pairs)
    counts = Counter(key for key, _ in pairs)
    return {key: id for key, id in pairs if counts[key] == 1}


def _number(text: str) -> int | None:
    """Return the number that a text of digits is, with or without leading zeros."""
    return int(text) if text.isdecimal() and len(text) <= _LONGEST_ID else None


class _Classes:
    """Finds the dataset class of an entry.

    Attributes:
        unknown: classes that neither the dataset nor the table has.
    """

    def __init__(
        self, dataset: Dataset, content: Mapping[str, Any], names: Mapping[str, str]
    ) -> None:
        self._by_name = {category.name: category.id for category in dataset.categories}
        if wrong := sorted({ours for ours in names.values() if ours} - self._by_name.keys()):
            raise AnnotationError(
                f"--map: the data has no class {wrong[0]!r} (it has {', '.join(self._by_name)})"
            )
        self._table = dict(names)
        listed = content.get("categories")
        self._theirs = {category.id: category.name for category in dataset.categories}
        if isinstance(listed, list):
            self._theirs = _listed_classes(listed)
        self.unknown: set[str] = set()

    def of(self, entry: Mapping[str, Any], where: str) -> int | None:
        """Return its category id; None if it is left out, or unknown."""
        number = entry.get("category_id")
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        given = next((entry[key] for key in _NAMES if isinstance(entry.get(key), str)), None)
        if isinstance(number, str):
            given = number if given is None and _number(number) is None else given
            number = _number(number)
        number = number if isinstance(number, int) else None
        name = self._theirs.get(number) if given is None and number is not None else given
        if name is None and number is None:
            raise AnnotationError(f"{where}: no class (category_id, or {', '.join(_NAMES)})")
        known = (key for key in (name, str(number)) if key in self._table)
        key = next(known, None)
        meant = name if key is None else self._table[key]
        if meant == "":
            return None
        if meant not in self._by_name:
            self.unknown.add(str(number if name is None else name))
            return None
        return self._by_name[meant]


def _listed_classes(categories: object) -> dict[int, str]:
    """Return the names of a file's categories by id, as far as they have both."""
    return {
        entry["id"]: str(entry["name"])
        for entry in (categories if isinstance(categories, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("id"), int) and "name" in entry
    }


def _box(entry: Mapping[str, Any], where: str) -> tuple[list[float] | None, float]:
    """Return a box, XYXY in pixels, and its score; None: the box has no area."""
    try:
        left, top, width, height = (float(value) for value in entry["bbox"])
        score = float(entry["score"])
    except (KeyError, OverflowError, TypeError, ValueError):
        raise AnnotationError(f"{where}: expected bbox [x, y, width, height] and a score") from None
    if not 0 <= score <= 1:
        raise AnnotationError(f"{where}: score {score:g}: expected 0 to 1")
    if not all(map(math.isfinite, (left, top, width, height))) or width <= 0 or height <= 0:
        return None, score
    return [left, top, left + width, top + height], score


def _inside(box: Sequence[float], image: Image) -> list[float] | None:
    """Return the part of a box in its image: models reach over the edge. None: there is none."""
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[2], float(image.width)), min(box[3], float(image.height))
    return [left, top, right, bottom] if min(right - left, bottom - top) >= THINNEST else None


def _warn(path: Path, boxes: str, expected: str, first: str) -> None:
    """Warn of boxes that were left out; `first` is the place of the first."""
    first = first.removeprefix(f"{path}: ")
    logger.warning("%s: left out %s; is bbox %s (first: %s)", path, boxes, expected, first)


def _detections(image_id: int, found: Sequence[tuple[float, int, list[float]]]) -> Detections:
    ordered = sorted(found, key=lambda row: -row[0])
    scores = np.array([score for score, _, _ in ordered], dtype=np.float64)
    return Detections(
        image_id=image_id,
        boxes=np.array([box for _, _, box in ordered], dtype=np.float64).reshape(-1, 4),
        scores=scores,
        category_ids=np.array([number for _, number, _ in ordered], dtype=np.int64),
        # All that is known of the object score is that it is at least the class score.
        object_scores=scores,
    )

"""Repair the parsed content of a COCO file, entry by entry, before it is read.

The result can be read strictly; changes and omissions are recorded as faults.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sparsedet.annotations import faults as kinds
from sparsedet.annotations.entries import (
    EntryReader,
    is_finite,
    is_int,
    is_text,
    leaves_folder,
    name_of_entry,
)
from sparsedet.annotations.faults import Faults
from sparsedet.annotations.lvis import NEGATIVE, NOT_EXHAUSTIVE
from sparsedet.annotations.masks import mask_bounds
from sparsedet.annotations.repaired_ids import Numbers, id_key
from sparsedet.errors import AnnotationError
from sparsedet.reading import quoted

Entry = dict[str, Any]

SizeOf = Callable[[str], tuple[int, int] | None]
"""File name -> (width, height) of the upright image; None if there is none."""


_LARGEST_SIZE = 2**31
"""Pixels per side; nothing decodes larger images."""
_LONGEST_ID = 40
"""Maximum length of a quoted text id."""


def no_size(name: str) -> None:
    """Return no size for any image."""


def repaired(content: Mapping[str, Any], faults: Faults, size_of: SizeOf) -> dict[str, Any]:
    """Return the content of a COCO file without its faults.

    Args:
        content: has the lists `images`, `annotations` and `categories`.
        faults: records what is changed and left out.
        size_of: provides the size of images whose entries have none.
    """
    return _Repair(faults, size_of).run(content)


def without_unused_root(content: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """Return the content without the root class of Roboflow's exports.

    It is the supercategory of all others and has no boxes.
    """
    categories = [entry for entry in content["categories"] if isinstance(entry, dict)]
    used = {
        id_key(entry.get("category_id"))
        for entry in content["annotations"]
        if isinstance(entry, dict)
    }
    for root in categories:
        others = [entry.get("supercategory") for entry in categories if entry is not root]
        named = root.get("supercategory") in (None, "", "none")
        is_root = bool(others) and all(other == root.get("name") for other in others)
        if not is_root or not named or id_key(root.get("id")) in used:
            continue
        where = f"categories id {root.get('id')}"
        message = f"{faults.source}: {where}: {root['name']!r} has no boxes"
        faults.note(kinds.CLASS_UNUSED_ROOT, where, message)
        return {**content, "categories": [e for e in content["categories"] if e is not root]}
    return dict(content)


class _Repair:
    def __init__(self, faults: Faults, size_of: SizeOf) -> None:
        self._faults = faults
        self._size_of = size_of
        self._image_ids: dict[Any, int] = {}
        """Original id -> id to use."""
        self._category_ids: dict[Any, int] = {}
        self._sizes: dict[int, tuple[int, int]] = {}

    def run(self, content: Mapping[str, Any]) -> dict[str, Any]:
        images = self._images(content["images"])
        categories = self._categories(content["categories"])
        self._sizes = {entry["id"]: (entry["width"], entry["height"]) for entry in images}
        for image in images:
            if "complete_classes" in image:
                image["complete_classes"] = self._complete(image["complete_classes"])
            for key, convert in ((NEGATIVE, self._complete), (NOT_EXHAUSTIVE, self._known)):
                if isinstance(image.get(key), list):
                    image[key] = convert(image[key])
                elif image.get(key) is not None:
                    # Without the second key, boxes imply nothing.
                    del image[key]
        result = {
            **content,
            "images": images,
            "categories": categories,
            "annotations": self._boxes(content["annotations"], "annotations"),
        }
        negatives = content.get("background")
        if isinstance(negatives, list):
            result["background"] = self._boxes(negatives, "background")
        elif result.pop("background", None):
            self._note(kinds.BOX_BROKEN, "background", f"{quoted(negatives)} is not a list")
        return result

    def _known(self, ids: Any) -> list[int]:
        """Return the existing classes of an image's list, by the ids to use."""
        keys = map(id_key, ids) if isinstance(ids, list) else ()
        return sorted({self._category_ids[key] for key in keys if key in self._category_ids})

    def _complete(self, ids: Any) -> list[int]:
        """Return the existing complete classes; of classes that are one now, each has to be."""
        keys = {*map(id_key, ids)} if isinstance(ids, list) else set()
        gaps = {id for key, id in self._category_ids.items() if key not in keys}
        return [id for id in self._known(ids) if id not in gaps]

    def _note(
        self, kind: kinds.FaultKind, where: str, what: str, image_id: int | None = None
    ) -> None:
        message = f"{self._faults.source}: {where}: {what}"
        self._faults.note(kind, where, message, image_id=image_id)

    def _images(self, entries: Sequence[Any]) -> list[Entry]:
        images = [
            (where, image)
            for where, entry in _named(entries, "images")
            if (image := self._image(where, entry)) is not None
        ]
        raw = Counter(id_key(image.get("id")) for _, image in images)
        by_name: dict[str, int] = {}
        names_of: dict[Any, set[str]] = {}
        for _, image in images:
            names_of.setdefault(id_key(image.get("id")), set()).add(image["file_name"])
        numbers = Numbers(image.get("id") for _, image in images)
        kept = []
        for where, image in images:
            key, name = id_key(image.get("id")), image["file_name"]
            if raw[key] > 1 and len(names_of[key]) > 1:
                self._note(kinds.IMAGE_ID_REPEATED, where, f"{name} shares its id with another")
                continue
            if name in by_name:
                self._note(kinds.IMAGE_TWICE, where, f"{name} is listed before")
                self._image_ids[key] = by_name[name]
                continue
            number, changed = numbers.of(image.get("id"))
            if changed:
                self._note(kinds.ID_NO_INTEGER, where, f"the id is {quoted(image.get('id'))}")
            self._image_ids[key] = by_name[name] = number
            kept.append({**image, "id": number})
        return kept

    def _image(self, where: str, entry: Any) -> Entry | None:
        if not isinstance(entry, dict):
            self._note(kinds.IMAGE_BROKEN, where, f"{quoted(entry)} is not an object")
            return None
        name = name_of_entry(entry)
        if not is_text(name) or not name.strip("/\\. ") or "\0" in name:
            self._note(kinds.IMAGE_BROKEN, where, f"file_name {quoted(name)} is not a file name")
            return None
        name = name.replace("\\", "/")
        if leaves_folder(name):
            self._note(
                kinds.NAME_FOREIGN, where, f"file_name {quoted(name)} leaves the image folder"
            )
            parts = [part for part in name.split("/") if part not in ("", ".", "..")]
            name = "/".join(part for part in parts if not part.endswith(":"))
            if not name or leaves_folder(name):
                self._note(kinds.IMAGE_BROKEN, where, "its name has nothing but folders")
                return None
        size = entry.get("width"), entry.get("height")
        width, height = (_whole(value) for value in size)
        if width is None or height is None:
            actual = self._size_of(name)
            if actual is None:
                self._note(
                    kinds.IMAGE_BROKEN, where, f"no size ({quoted(size[0])} x {quoted(size[1])})"
                )
                return None
            self._note(
                kinds.SIZE_UNSAID, where, f"the size is {quoted(size[0])} x {quoted(size[1])}"
            )
            width, height = actual
        return {**entry, "file_name": name, "width": width, "height": height}

    def _categories(self, entries: Sequence[Any]) -> list[Entry]:
        by_name: dict[str, int] = {}
        numbers = Numbers(entry.get("id") for entry in entries if isinstance(entry, dict))
        kept = []
        for where, entry in _named(entries, "categories"):
            name = entry.get("name") if isinstance(entry, dict) else None
            if is_finite(name):
                self._note(kinds.CLASS_NUMERIC, where, f"the name is the number {name}")
                name = str(name)
            if not is_text(name) or not name:
                self._note(kinds.CLASS_BROKEN, where, f"the name is {quoted(name)}")
                continue
            key = id_key(entry.get("id"))
            if name in by_name:
                self._note(kinds.CLASS_TWICE, where, f"{quoted(name)} is listed before")
                self._category_ids.setdefault(key, by_name[name])
                continue
            if key in self._category_ids:
                # It is unknown which of the two its boxes have.
                self._note(kinds.CLASS_BROKEN, where, f"{quoted(name)} has the id of another class")
                continue
            number, changed = numbers.of(entry.get("id"))
            if changed:
                self._note(kinds.ID_NO_INTEGER, where, f"the id is {quoted(entry.get('id'))}")
            self._category_ids[key] = by_name[name] = number
            kept.append({**entry, "id": number, "name": name})
        return kept

    def _boxes(self, entries: Sequence[Any], key: str) -> list[Entry]:
        numbers = Numbers(entry.get("id") for entry in entries if isinstance(entry, dict))
        kept = []
        for where, entry in _named(entries, key):
            box = self._box(where, entry)
            if box is None:
                continue
            number, changed = numbers.of(entry.get("id"))
            if changed:
                whole = is_int(id_key(entry.get("id")))
                kind = (
                    kinds.ID_REPEATED
                    if whole and number != id_key(entry["id"])
                    else (kinds.ID_NO_INTEGER)
                )
                self._note(kind, where, f"the id is {quoted(entry.get('id'))}")
            kept.append({**box, "id": number})
        return kept

    def _box(self, where: str, entry: Any) -> Entry | None:
        if not isinstance(entry, dict):
            self._note(kinds.BOX_BROKEN, where, f"{quoted(entry)} is not an object")
            return None
        image_id = _known_id(self._image_ids, entry.get("image_id"))
        if image_id is None:
            what = f"image_id {entry.get('image_id')!r} is not among the images"
            self._note(kinds.ORPHAN, where, what)
            return None
        category_id = _known_id(self._category_ids, entry.get("category_id"))
        if category_id is None:
            what = f"category_id {entry.get('category_id')!r} is not among the categories"
            self._note(kinds.UNKNOWN_CLASS, where, what, image_id)
            return None
        box = {**entry, "image_id": image_id, "category_id": category_id}
        self._repair_marks(where, box)
        if (bbox := self._bbox(where, box)) is None:
            return None
        box["bbox"] = bbox
        # The remaining checks are those of strict reading.
        reader = EntryReader(self._faults.source)
        reader.sizes = {image_id: self._sizes[image_id]}
        reader.category_ids = {category_id}
        try:
            reader.box(f"{self._faults.source}: {where}", {**box, "id": 0})
        except AnnotationError as error:
            flat = min(bbox[2:]) <= 0
            kind = kinds.BOX_WITHOUT_AREA if flat or "no area" in str(error) else kinds.BOX_OUTSIDE
            self._faults.note(kind, where, str(error), image_id=image_id)
            return None
        return box

    def _repair_marks(self, where: str, box: Entry) -> None:
        crowd = box.get("iscrowd", 0)
        if crowd is None or not is_int(crowd) or crowd not in (0, 1):
            box["iscrowd"] = 1 if crowd is True or crowd in ("1", 1.0) else 0
            if crowd not in (True, False, 0.0, 1.0):
                self._note(kinds.CROWD_MARK, where, f"iscrowd is {crowd!r}")
        area = box.get("area")
        if area is not None and not (is_finite(area) and area >= 0):
            self._note(kinds.AREA_BROKEN, where, f"area {area!r} is not a number of square pixels")
            del box["area"]

    def _bbox(self, where: str, box: Entry) -> list[float] | None:
        bbox = box.get("bbox")
        if isinstance(bbox, list) and len(bbox) == 4:
            if all(map(is_finite, bbox)):
                return bbox
            numbers = [_number(value) for value in bbox]
            if None not in numbers:
                self._note(kinds.NUMBER_AS_TEXT, where, f"bbox is {bbox!r}")
                return [value for value in numbers if value is not None]
        if not bbox and box.get("segmentation"):
            found = mask_bounds(box["segmentation"], self._sizes[box["image_id"]])
            if found is not None:
                self._note(kinds.BOX_FROM_MASK, where, f"bbox is {bbox!r}")
                left, top, right, bottom = found
                return [left, top, right - left, bottom - top]
        what = f"bbox {bbox!r} is not [x, y, width, height]"
        self._note(kinds.BOX_BROKEN, where, what, box["image_id"])
        return None


def _known_id(ids: Mapping[Any, int], written: Any) -> int | None:
    """Return the id to use for an original one; entries without id are nobody's."""
    key = id_key(written)
    return None if key is None else ids.get(key)


def _named(entries: Sequence[Any], key: str) -> list[tuple[str, Any]]:
    """Return entries with their names in messages."""
    return [
        (
            f"{key} id {_shown(entry['id'])}"
            if isinstance(entry, dict) and isinstance(entry.get("id"), int | str | float)
            else f"{key}[{index}]",
            entry,
        )
        for index, entry in enumerate(entries)
    ]


def _shown(id: int | str | float) -> str:
    """Return an id for messages, truncated if too long."""
    return id if isinstance(id, str) and len(id) <= _LONGEST_ID else quoted(id)


def _whole(value: Any) -> int | None:
    """Return a size in pixels; None if a value is invalid."""
    number = _number(value)
    if number is None or not 1 <= number < _LARGEST_SIZE or number != int(number):
        return None
    return int(number)


def _number(value: Any) -> float | None:
    if is_finite(value):
        return float(value)
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return None
        return number if is_finite(number) else None
    return None

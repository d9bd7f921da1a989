"""Converts tasks of a Label Studio export to records."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sparsedet.annotations.entries import is_int
from sparsedet.annotations.faults import IMAGE_BROKEN, Faults
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.reading import quoted, read_list
from sparsedet.wording import counted

from ..conversion import LabelledBox
from ..once import warn_once
from .file_kinds import split_of
from .label_studio_images import image_keys, image_names
from .records import Entry, Record, Size
from .shapes import ellipse, no_box, number, outlined, points, turned

_PERCENT = 100.0
_WITHOUT_BOX = {
    "brush": "brush mask",
    "bitmask": "bit mask",
    "magicwand": "magic wand mask",
    "keypoint": "point",
    "vector": "line",
}
_SHAPES = ("rectangle", "polygon", "ellipse", *_WITHOUT_BOX, "videorectangle")
_MIN_KEYS = frozenset({"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"})
"""Keys of JSON-MIN without regions."""
_PLACE_KEYS = (
    *("x", "y", "width", "height", "rotation", "radiusX", "radiusY", "points", "closed"),
    *("original_width", "original_height"),
)
"""Keys of a shape's value, without its labels."""


def read_tasks(root: Path, file: Path, faults: Faults) -> list[Record]:
    """Read every task of an export in the folder `root`.

    Raises:
        AnnotationError: if the file is not a list, or its tasks have boxes on several images.
    """
    try:
        tasks = read_list(file)
    except SparseDetError as error:
        raise AnnotationError(str(error)) from error
    answers: dict[str, _Answers] = {}
    for place, task in enumerate(tasks, start=1):
        with faults.left_out(IMAGE_BROKEN, f"{file.name}: task {place}"):
            if not isinstance(task, Mapping):
                raise AnnotationError(f"{file}: task {place} is {quoted(task)}, expected an object")
            key = str(task.get("id", f"of place {place}"))
            # JSON-MIN repeats a task for each annotation.
            if _is_min(task) and key in answers:
                answers[key].annotations.append(_of_min(task))
            else:
                answers[key if key not in answers else f"of place {place}"] = _Answers(task)
    by_people = any(answer.annotations or answer.are_elsewhere for answer in answers.values())
    results = {
        key: _objects(answer.chosen() if by_people else answer.predicted())
        for key, answer in answers.items()
    }
    for key, regions in results.items():
        _refuse_several_images(regions, f"{file}: task {key}")
    split = split_of(file, root)
    records = []
    for key, answer in answers.items():
        where = f"{file}: task {key}"
        with faults.left_out(IMAGE_BROKEN, where):
            if answer.are_elsewhere:
                raise AnnotationError(
                    f"{where}: has annotations, but they are not in this file; export the project "
                    "as JSON, or use `sparsedet pull`"
                )
            records.append(_record(answer.data, results[key], where, split))
    _warn(file, answers.values(), by_people)
    return records


class _Answers:
    """The annotations and predictions of a task, each with a list of regions and other keys."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        data = task.get("data")
        self.data: Mapping[str, Any] = data if isinstance(data, Mapping) else task
        # `completions` until Label Studio 1.0.
        listed = _list(task.get("annotations", task.get("completions")))
        known = _objects(listed)
        if _is_min(task):
            known = [_of_min(task)]
        self.annotations = [one for one in known if not one.get("was_cancelled")]
        # Lists of tasks of Label Studio's API have ids or numbers of annotations.
        self.are_elsewhere = any(map(is_int, listed)) or (
            "annotations" not in task and bool(task.get("total_annotations"))
        )
        self.predictions = _objects(task.get("predictions"))
        # Usual exports only have their ids.
        drafts = _list(task.get("drafts"))
        self.has_draft = any(is_int(one) or (_is_map(one) and one.get("result")) for one in drafts)

    def chosen(self) -> Sequence[Any]:
        """Return the regions of the annotation that counts."""
        if not self.annotations:
            return ()
        last = max(self.annotations, key=lambda one: (bool(one.get("ground_truth")), _saved(one)))
        return _list(last.get("result"))

    def predicted(self) -> Sequence[Any]:
        """Return the regions of the newest prediction."""
        return _list(self.predictions[-1].get("result")) if self.predictions else ()


def _warn(file: Path, answers: Iterable[_Answers], by_people: bool) -> None:
    several = sum(len(answer.annotations) > 1 for answer in answers)
    predicted = sum(bool(answer.predictions) for answer in answers)
    if several:
        warn_once(
            f"{file}: {counted(several, 'task has', 'tasks have')} several annotations: used the "
            "ground truth, or the one saved last"
        )
    if drafts := sum(answer.has_draft for answer in answers):
        warn_once(
            f"{file}: {counted(drafts, 'task has', 'tasks have')} a draft, left out; people have "
            "to submit it first"
        )
    if predicted and not by_people:
        warn_once(f"{file}: these tasks have no annotations; used the predictions of {predicted}")
    images = [keys for answer in answers if len(keys := image_keys(answer.data)) > 1]
    if images:
        warn_once(
            f"{file}: {counted(len(images), 'task has', 'tasks have')} several images in the data "
            f"({', '.join(images[0])}): used {images[0][0]}; `sparsedet pull` reads all that the "
            "project shows"
        )


def _refuse_several_images(regions: Iterable[Mapping[str, Any]], where: str) -> None:
    """Refuse boxes on several images of a task.

    Only the labelling config, which exports lack, says which key of the data an image has.
    """
    shapes = [one for one in regions if _kind(one)]
    tags = dict.fromkeys(str(one["to_name"]) for one in shapes if one.get("to_name"))
    pages = dict.fromkeys(str(one.get("item_index") or 0) for one in shapes)
    if len(tags) > 1 or len(pages) > 1:
        which = tags if len(tags) > 1 else [f"item_index {page}" for page in pages]
        raise AnnotationError(
            f"{where}: has boxes on several images ({', '.join(which)}); exports don't say which "
            "is which: use `sparsedet pull`"
        )


def _record(
    data: Mapping[str, Any], objects: Sequence[Mapping[str, Any]], where: str, split: str
) -> Record:
    names = image_names(data)
    if not names:
        keys = ", ".join(map(str, data)) or "none"
        raise AnnotationError(
            f"{where}: has no image in its data (keys: {quoted(keys)}); `sparsedet pull` also "
            "reads lists of images and nested keys"
        )
    labels = _labels_by_id(objects)
    entries = []
    for place, region in enumerate(objects, start=1):
        kind = _kind(region)
        if kind == "videorectangle":
            raise AnnotationError(f"{where}: contains video tracks, but sparsedet reads images")
        if kind:
            at = f"{where}: region {region.get('id', place)}"
            own = _labels(region) or labels.get(str(region.get("id")), [])
            entries.append(Entry(at, partial(_box, kind, region, own, at)))
    stated = next((size for one in objects if (size := _stated(one))), None)
    return Record(f"{where} ({names[0]})", names, entries, stated, split=split)


def _kind(region: Mapping[str, Any]) -> str:
    """Return the shape of a region; empty for labels, choices, texts and relations."""
    kind = str(region.get("type", "")).removesuffix("labels")
    return kind if kind in _SHAPES else ""


def _labels(region: Mapping[str, Any]) -> list[str]:
    """Return the classes of a region: the list under a key like `rectanglelabels`, or `labels`."""
    value = region.get("value")
    lists = [v for k, v in (value or {}).items() if k.endswith("labels")] if _is_map(value) else []
    return [label for found in lists if isinstance(found, list) for label in found]


def _labels_by_id(regions: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return classes given separately from shapes, by region id."""
    found: dict[str, list[str]] = {}
    for region in regions:
        if "id" in region and (labels := _labels(region)):
            found.setdefault(str(region["id"]), labels)
    return found


def _box(
    kind: str, region: Mapping[str, Any], labels: Sequence[str], where: str, size: Size
) -> LabelledBox:
    """Return the box of a region on an image of (width, height)."""
    value = region.get("value")
    if not isinstance(value, Mapping):
        raise AnnotationError(f"{where}: has no value")
    if kind in _WITHOUT_BOX:
        raise no_box(_WITHOUT_BOX[kind], where)
    if not labels or not isinstance(labels[0], str):
        raise AnnotationError(f"{where}: has no label")
    if len(names := list(dict.fromkeys(map(str, labels)))) > 1:
        raise AnnotationError(f"{where}: has several labels ({', '.join(names)}), expected one")
    score = region.get("score")
    extra = {"score": score} if isinstance(score, int | float) else {}
    across, down = size[0] / _PERCENT, size[1] / _PERCENT

    def at(key: str, scale: float) -> float:
        return number(value.get(key), key, where) * scale

    rotation = number(value.get("rotation") or 0, "rotation", where)
    if kind == "polygon":
        outline = value.get("points")
        corners = [(x * across, y * down) for x, y in points(outline, where)]
        return outlined(labels[0], corners, extra, where)
    left, top = at("x", across), at("y", down)
    if kind == "ellipse":
        box = ellipse((left, top), (at("radiusX", across), at("radiusY", down)), rotation)
        return LabelledBox(labels[0], box, extra=extra)
    whole = (left, top, left + at("width", across), top + at("height", down))
    if rotation % 360:
        return outlined(labels[0], turned(whole, rotation, (left, top)), extra, where)
    return LabelledBox(labels[0], whole, extra=extra)


def _is_min(task: Mapping[str, Any]) -> bool:
    return not isinstance(task.get("data"), Mapping) and "annotations" not in task


def _of_min(task: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a JSON-MIN task to an annotation: its regions are values, in lists by control."""
    result = []
    labelled = set()
    for key, values in task.items():
        if key in _MIN_KEYS or not isinstance(values, list):
            continue
        for place, value in enumerate(values):
            kind = _kind_of_value(value)
            if kind:
                result.append({"id": f"{key}-{place}", "type": kind, "value": value, **value})
                if _labels(result[-1]):
                    labelled.add(_place_of_value(value))
    # A control that only draws repeats the places of the labels.
    result = [one for one in result if _labels(one) or _place_of_value(one) not in labelled]
    return {**{key: task[key] for key in _MIN_KEYS if key in task}, "result": result}


def _kind_of_value(value: object) -> str:
    """Infer the type of a region from its value; empty for choices, ratings, ... of a region."""
    if not isinstance(value, Mapping):
        return ""
    for kind in _SHAPES:
        if f"{kind}labels" in value:
            return f"{kind}labels"
    if value.keys() - {*_PLACE_KEYS, "labels"}:
        return ""
    if "points" in value:
        return "polygon"
    if "radiusX" in value:
        return "ellipse"
    return "rectangle" if {"x", "y", "width", "height"} <= value.keys() else ""


def _place_of_value(value: Mapping[str, Any]) -> str:
    """Return what is the same for the values of two controls of one region."""
    return repr([value.get(key) for key in _PLACE_KEYS])


def _stated(region: Mapping[str, Any]) -> Size | None:
    """Return the image size stored in a region."""
    width, height = region.get("original_width"), region.get("original_height")
    if not (is_int(width) and is_int(height)):
        return None
    return (int(width), int(height)) if width > 0 and height > 0 else None


def _saved(annotation: Mapping[str, Any]) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in _list(value) if isinstance(one, Mapping)]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)

"""Add marks of complete classes: for all images, or from image-level labels.

Objects365-style subsets label some classes on all of their images. Open Images has verified
image-level labels: what each image shows, and what it doesn't.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sparsedet.annotations.model import Box, Image
from sparsedet.errors import AnnotationError
from sparsedet.wording import counted

if TYPE_CHECKING:
    from sparsedet.annotations.dataset import Dataset

_COLUMNS = ("ImageID", "LabelName", "Confidence")
_BY_MACHINE = "machine"
"""`Source` of unverified labels."""
_GROUP = "IsGroupOf"


@dataclass(frozen=True, slots=True)
class ClassMarks:
    """A dataset's marks of complete classes, in numbers."""

    complete: int
    """Number of images on which every object of every class has a box."""
    in_part: int
    """Number of other images on which that holds for some classes."""
    pairs: int
    """Number of (image, complete class) pairs among these images."""

    @classmethod
    def of(cls, images: Iterable[Image], classes: int) -> "ClassMarks":
        """Count the marks on images of a dataset with this many classes."""
        return cls.of_counts(
            (classes if image.exhaustive else len(image.complete_classes) for image in images),
            classes,
        )

    @classmethod
    def of_file(cls, content: Mapping[str, Any]) -> "ClassMarks":
        """Count the marks in the parsed content of a COCO file, without checking it."""
        images, categories = (
            found if isinstance(found := content.get(key), list) else []
            for key in ("images", "categories")
        )
        marks = [
            (image.get("exhaustive") is True, image.get("complete_classes"))
            for image in images
            if isinstance(image, dict)
        ]
        return cls.of_counts(
            (
                len(categories) if whole else len(ids) if isinstance(ids, list) else 0
                for whole, ids in marks
            ),
            len(categories),
        )

    @classmethod
    def of_counts(cls, complete: Iterable[int], classes: int) -> "ClassMarks":
        """Count the marks from the number of complete classes of each image, out of `classes`."""
        counts = list(complete)
        part = [count for count in counts if 0 < count < classes]
        whole = sum(count == classes for count in counts) if classes else 0
        return cls(whole, len(part), sum(part))

    def in_words(self) -> str:
        """Return the numbers for display."""
        text = f"{counted(self.complete, 'image')} complete"
        if self.in_part:
            text += f", {self.in_part} in part ({counted(self.pairs, 'pair')} of class and image)"
        return text


def with_complete_classes(dataset: "Dataset", names: Iterable[str]) -> "Dataset":
    """Return the dataset with classes marked as complete on all of its images.

    Raises:
        AnnotationError: naming a class that the dataset does not have.
    """
    ids = {category.name: category.id for category in dataset.categories}
    wanted = list(names)
    if unknown := [name for name in wanted if name not in ids]:
        raise AnnotationError(
            f"unknown class {unknown[0]!r}; the data has {', '.join(ids) or 'no classes'}"
        )
    marked = frozenset(ids[name] for name in wanted)
    return replace(
        dataset,
        images=tuple(
            replace(image, complete_classes=image.complete_classes | marked)
            for image in dataset.images
        ),
    )


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """A dataset with marks from image-level labels, and statistics of the labels."""

    dataset: "Dataset"
    absent: int
    """Number of (image, class) pairs verified as absent."""
    complete: int
    """Number of verified pairs with boxes of all objects."""
    contradicted: int
    """Number of unchanged pairs: labels disagree, or an absent class has a box."""
    unknown: int
    """Number of labels of images or classes missing from the dataset."""

    def in_words(self) -> str:
        """Return the statistics for display."""
        pairs = f"{counted(self.absent, 'pair')} of class and image"
        text = f"{pairs} absent, {self.complete} complete"
        if self.contradicted:
            text += f"; {self.contradicted} contradicted and ignored"
        if self.unknown:
            text += f"; {counted(self.unknown, 'label')} of other images or classes left out"
        return text


def with_image_labels(
    dataset: "Dataset", path: Path, class_names: Path | None = None
) -> LabelledImages:
    """Return the dataset with marks from image-level labels, as in Open Images.

    A class with confidence 0 is absent; one with confidence 1 is complete if the image has boxes of
    it, unless one of them is a group of objects: annotators drew all objects of verified classes.
    Confidences in between, and machine-generated ones, are ignored.

    Args:
        dataset: images are matched by file name, with or without folder and suffix.
        path: a CSV file with the columns `ImageID`, `LabelName` and `Confidence`, and optionally
            `Source`.
        class_names: a CSV file of label and class name, without header, if labels are not class
            names themselves (`/m/01yrx` for `Cat`); or classes may have the label as an extra key
            of any name.

    Raises:
        AnnotationError: naming the file and line that can't be read.
    """
    images = _image_ids(dataset)
    classes = _class_ids(dataset, _read_names(class_names) if class_names else {})
    said: dict[tuple[int, int], set[bool]] = defaultdict(set)
    unknown = 0
    for image, label, is_there in _read_labels(path):
        if image in images and label in classes:
            if len(images[image]) > 1:
                raise AnnotationError(
                    f"{path}: ambiguous ImageID {image!r}: matches {len(images[image])} images; "
                    "give its folder or suffix"
                )
            said[images[image][0], classes[label]].add(is_there)
        else:
            unknown += 1
    boxes: dict[tuple[int, int], list[Box]] = defaultdict(list)
    for box in dataset.boxes:
        boxes[box.image_id, box.category_id].append(box)
    marks: dict[int, set[int]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for pair, answers in said.items():
        kind = _kind(answers, boxes.get(pair, ()))
        counts[kind] += 1
        if kind in ("absent", "complete"):
            marks[pair[0]].add(pair[1])
    marked = replace(
        dataset,
        images=tuple(
            replace(image, complete_classes=image.complete_classes | marks[image.id])
            if image.id in marks
            else image
            for image in dataset.images
        ),
    )
    return LabelledImages(
        marked, counts["absent"], counts["complete"], counts["contradicted"], unknown
    )


def _kind(answers: set[bool], boxes: Sequence[Box]) -> str:
    """Return the status of a class on an image, from people's answers and its boxes."""
    if len(answers) > 1 or (answers == {False} and boxes):
        return "contradicted"
    if answers == {False}:
        return "absent"
    # Verified without a box: the object is there, and has none.
    return "complete" if boxes and not any(map(_is_group, boxes)) else "in part"


def _is_group(box: Box) -> bool:
    return box.iscrowd or box.extra.get(_GROUP) in (1, "1", True)


def _image_ids(dataset: "Dataset") -> dict[str, list[int]]:
    """Return image ids by possible label names; several if names coincide.

    A name that is an image's in full is no other one's.
    """
    ids: dict[str, list[int]] = defaultdict(list)
    for image in dataset.images:
        path = PurePosixPath(image.file_name)
        for name in {str(path), str(path.with_suffix("")), path.name, path.stem}:
            ids[name].append(image.id)
    return ids | {image.file_name: [image.id] for image in dataset.images}


def _class_ids(dataset: "Dataset", names: Mapping[str, str]) -> dict[str, int]:
    """Return category ids by the labels that may denote them."""
    ids = {category.name: category.id for category in dataset.categories}
    labels = {
        value: category.id
        for category in dataset.categories
        for value in category.extra.values()
        if isinstance(value, str) and value.startswith("/")
    }
    return {**labels, **{label: ids[name] for label, name in names.items() if name in ids}, **ids}


def _read_labels(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Yield image, label and presence for every verified label."""
    rows = _rows(path)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    if missing := [name for name in _COLUMNS if name not in header]:
        raise AnnotationError(
            f"{path}: no column {missing[0]}; image labels have {', '.join(_COLUMNS)}"
        )
    place = {name: header.index(name) for name in (*_COLUMNS, "Source") if name in header}
    for line, row in rows:
        if len(row) < len(header):
            raise AnnotationError(f"{path}: line {line} has {len(row)} of {len(header)} columns")
        image, label, text = (row[place[name]].strip() for name in _COLUMNS)
        try:
            confidence = float(text)
        except ValueError:
            raise AnnotationError(
                f"{path}: line {line}: Confidence {text!r} is not a number from 0 to 1"
            ) from None
        by_machine = "Source" in place and row[place["Source"]].strip() == _BY_MACHINE
        if confidence in (0, 1) and not by_machine:
            yield image, label, confidence == 1


def _read_names(path: Path) -> dict[str, str]:
    """Return class names by label."""
    names = {}
    for line, row in _rows(path):
        if len(row) != 2:
            raise AnnotationError(f"{path}: line {line} is not LABEL,CLASS NAME")
        names[row[0].strip()] = row[1].strip()
    return names


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the non-empty rows of a CSV file, with their lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            yield from ((reader.line_num, row) for row in reader if row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise AnnotationError(f"{path}: can't be read as CSV ({reason})") from error

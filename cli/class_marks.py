"""Options for marking classes as complete, for data that has no such marks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsedet.errors import SparseDetError

from .output import say

if TYPE_CHECKING:
    from sparsedet.annotations import Dataset
    from sparsedet.loop.data_sources import Data

_PANEL = "Complete and absent classes"


CompleteClasses = Annotated[
    list[str] | None,
    typer.Option(
        "--complete-classes",
        metavar="CLASS,...",
        help="Classes that are labelled exhaustively on all images: wherever they have no box, "
        "they are absent. Comma-separated; repeatable.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
ImageLabels = Annotated[
    Path | None,
    typer.Option(
        "--image-labels",
        metavar="CSV",
        help="Verified image-level labels in the format of Open Images (ImageID, Source, "
        "LabelName, Confidence): confidence 0 marks a class as absent; 1 marks it as complete if "
        "it has boxes and none of them is a group box.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
LabelNames = Annotated[
    Path | None,
    typer.Option(
        "--label-names",
        metavar="CSV",
        help="Class names for the labels in --image-labels (/m/01yrx,Cat), if these are not class "
        "names themselves.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class MarkOptions:
    """The options, as given."""

    complete_classes: Sequence[str] = ()
    image_labels: Path | None = None
    label_names: Path | None = None

    @classmethod
    def of(
        cls, complete: Sequence[str] | None, labels: Path | None, names: Path | None
    ) -> "MarkOptions":
        """Return the options of a command.

        Raises:
            SparseDetError: if label names are given without labels.
        """
        if names is not None and labels is None:
            raise SparseDetError("--label-names needs --image-labels")
        return cls(tuple(complete or ()), labels, names)

    def apply(self, dataset: "Dataset") -> "Dataset":
        """Return the dataset with the requested marks, and report them.

        Raises:
            AnnotationError: if a class does not exist, or a file can't be read.
        """
        from sparsedet.annotations.class_marks import (
            ClassMarks,
            with_complete_classes,
            with_image_labels,
        )

        if not self.complete_classes and self.image_labels is None:
            return dataset
        names = {category.name for category in dataset.categories}
        dataset = with_complete_classes(dataset, _split(self.complete_classes, names))
        if self.image_labels is not None:
            found = with_image_labels(dataset, self.image_labels, self.label_names)
            say(f"{self.image_labels}: {found.in_words()}")
            dataset = found.dataset
        say(ClassMarks.of(dataset.images, len(dataset.categories)).in_words())
        return dataset

    def apply_to(self, data: "Data") -> "Data":
        """Return `data` with `apply` applied to its dataset."""
        return replace(data, dataset=self.apply(data.dataset))


def _split(values: Sequence[str], known: set[str]) -> list[str]:
    """Return class names; a known name that contains a comma is not split."""
    names = []
    for value in values:
        names += [value] if value in known else [name.strip() for name in value.split(",")]
    return [name for name in names if name]

"""Options that say which classes are complete, for data that does not say so itself."""

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

_PANEL = "Labels that say what is absent"


CompleteClasses = Annotated[
    list[str] | None,
    typer.Option(
        "--complete-classes",
        metavar="CLASS,...",
        help="These classes are labelled completely on all images: what has no box is none of "
        "them. Separated by commas, or give it again for several.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
ImageLabels = Annotated[
    Path | None,
    typer.Option(
        "--image-labels",
        metavar="CSV",
        help="Verified labels of whole images, as Open Images has them (ImageID, Source, "
        "LabelName, Confidence): a class of confidence 0 is absent, one of 1 is complete where it "
        "has boxes, none of them of a group.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
LabelNames = Annotated[
    Path | None,
    typer.Option(
        "--label-names",
        metavar="CSV",
        help="Class names for the labels in --image-labels (/m/01yrx,Cat), where these are not "
        "class names themselves.",
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
            SparseDetError: when there are names for labels, but no labels.
        """
        if names is not None and labels is None:
            raise SparseDetError("--label-names needs --image-labels, whose labels it names")
        return cls(tuple(complete or ()), labels, names)

    def apply(self, dataset: "Dataset") -> "Dataset":
        """Return a dataset with the marks that were asked for, and say what came of them.

        Raises:
            AnnotationError: when a class is not there, or a file can't be read.
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
        """Return data that was read, its dataset as `apply` returns it."""
        return replace(data, dataset=self.apply(data.dataset))


def _split(values: Sequence[str], known: set[str]) -> list[str]:
    """Return class names; one that has a comma itself is taken as it is."""
    names = []
    for value in values:
        names += [value] if value in known else [name.strip() for name in value.split(",")]
    return [name for name in names if name]

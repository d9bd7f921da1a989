"""What the small JSON files of a round must hold: checked when they are read, at one place.

A file that is broken, cut off or somebody else's is one line of error with what to do about it.
Values that are absent in files of older versions have a default.
"""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sparsedet.loop.workspace import RoundFolder
from sparsedet.reading import read_object

_PULL_AGAIN = "restore it, or begin the round again with `sparsedet round --restart`"


class _Fields(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class _Place(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tool: str
    url: str
    project: str
    review_project: str
    mode: str


class _PushPart(_Fields):
    url: str | None = None
    boxes: int = 0
    images: int = 0
    model_version: str | None = None
    review_project: str | None = None
    place: _Place | None = None
    skipped: dict[str, str] | list[str] = {}


class _Push(_PushPart):
    mined: int = 0
    judged: list[str] = []
    reviews: list[str] = []
    skipped_images: list[str] = []
    withdrawn: list[str] = []
    queue: Any = None
    """Of rebuilt ledgers alone, which say what is wrong with it."""
    suspicions: list[dict[str, Any]] = []
    sheets: _PushPart = _PushPart()
    draft: _PushPart = _PushPart()
    review: _PushPart = Field(default=_PushPart(), alias="review-project")

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        # Rounds that had nothing to push have no model version, older ones no address.
        if not {"url", "model_version"} & self.model_fields_set:
            raise ValueError("it does not say what was pushed")
        return self


class _Known(_Fields):
    settled: list[str]


class _ClassEstimate(_Fields):
    boxes: int
    missing: float


class _Estimate(_Fields):
    text: str
    share: float
    low: float
    high: float
    by_class: dict[str, _ClassEstimate]


class _Evaluation(_Fields):
    AP: float | None = None
    AP50: float | None = None


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    iterations: int | None = Field(default=None, ge=1)
    device: str | None = None
    method: str | None = None
    minutes: float | None = Field(default=None, gt=0)


class _RehearsedImage(_Fields):
    drawn: int
    seconds: float
    complete: bool


class _Rehearsed(_Fields):
    images: dict[str, _RehearsedImage]


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tool: str
    url: str
    project: str


class _Merged(_Fields):
    tool_id: str
    source: _Source
    before: Any
    written_before: dict[str, Any]
    written: dict[str, Any] | None
    version: str | None


def read_push(folder: RoundFolder) -> dict[str, Any]:
    """Return what `push.json` holds; a further push of the round has its mode as key."""
    return read_object(
        folder.push, _Push, "remove it, and `sparsedet round` pushes the round again"
    )


def read_known(folder: RoundFolder) -> list[str]:
    """Return the boxes that reviewers had judged when the round was pulled, of `known.json`."""
    settled: list[str] = read_object(folder.known, _Known, _PULL_AGAIN)["settled"]
    return settled


def read_estimate(folder: RoundFolder) -> dict[str, Any] | None:
    """Return what `estimate.json` holds; None where the round has none yet."""
    if not folder.estimate.exists():
        return None
    return read_object(
        folder.estimate, _Estimate, "remove it, and `sparsedet review` makes it again"
    )


def read_evaluation(folder: RoundFolder) -> dict[str, Any]:
    """Return what `evaluation.json` holds; nothing where the round was not evaluated.

    AP and AP50 are None where there was nothing to find in the evaluation data.
    """
    if not folder.evaluation.exists():
        return {}
    return read_object(folder.evaluation, _Evaluation)


def read_given_options(folder: RoundFolder) -> dict[str, Any]:
    """Return what `options.json` holds; nothing where the round has none."""
    if not folder.options.exists():
        return {}
    return read_object(
        folder.options, _Options, "remove it, and give the round's options once more"
    )


def read_rehearsed(folder: RoundFolder) -> dict[str, Any]:
    """Return what the scripted reviewer did in a round, by the images' tool ids."""
    if not folder.rehearsed.exists():
        return {}
    advice = "remove it; the figures of the round are lost"
    images: dict[str, Any] = read_object(folder.rehearsed, _Rehearsed, advice)["images"]
    return images


def read_merged(path: Path) -> dict[str, Any]:
    """Return what a merge replaced of an image, and what it left: a file of `merged/001/`."""
    return read_object(path, _Merged, "restore it; what the merge replaced is in no other place")

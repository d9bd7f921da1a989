"""Schemas of a round's small JSON files, checked in one place when they are read.

A broken, truncated or foreign file gives one line of error with what to do. Values that older
versions did not write have a default.
"""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sparsedet.loop.round_folder import START_OVER, RoundFolder
from sparsedet.reading import read_object


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
    left_out: list[str] = []
    sure_only: bool = False
    held: int = 0
    queue: Any = None
    """Used only to rebuild a ledger, which validates it."""
    suspicions: list[dict[str, Any]] = []
    sheets: _PushPart = _PushPart()
    draft: _PushPart = _PushPart()
    review: _PushPart = Field(default=_PushPart(), alias="review-project")

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        # Rounds with nothing to push have no model version, older ones no address.
        if not {"url", "model_version"} & self.model_fields_set:
            raise ValueError("no record of what was pushed")
        return self


class _Known(_Fields):
    settled: list[str]


class _ClassEstimate(_Fields):
    boxes: int
    missing: float
    # Not in rounds of older versions.
    missing_low: float | None = None
    missing_high: float | None = None


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
    """Return the content of `push.json`; further pushes of the round have their mode as key."""
    return read_object(
        folder.push, _Push, "remove it, and run `sparsedet round` to push the round again"
    )


def read_known(folder: RoundFolder) -> list[str]:
    """Return the boxes judged by reviewers when the round was pulled, from `known.json`."""
    settled: list[str] = read_object(folder.known, _Known, START_OVER)["settled"]
    return settled


def read_estimate(folder: RoundFolder) -> dict[str, Any] | None:
    """Return the content of `estimate.json`; None if the round has none yet."""
    if not folder.estimate.exists():
        return None
    return read_object(
        folder.estimate, _Estimate, "remove it, and run `sparsedet review` to write it again"
    )


def read_evaluation(folder: RoundFolder) -> dict[str, Any]:
    """Return the content of `evaluation.json`; nothing if the round was not evaluated.

    AP and AP50 are None if the evaluation data has no objects.
    """
    if not folder.evaluation.exists():
        return {}
    return read_object(folder.evaluation, _Evaluation)


def read_given_options(folder: RoundFolder) -> dict[str, Any]:
    """Return the content of `options.json`; nothing if the round has none."""
    if not folder.options.exists():
        return {}
    return read_object(folder.options, _Options, "remove it, and pass the round's options again")


def read_rehearsed(folder: RoundFolder) -> dict[str, Any]:
    """Return the scripted reviewer's actions in a round, by the images' tool ids."""
    if not folder.rehearsed.exists():
        return {}
    advice = "remove it; the figures of the round are lost"
    images: dict[str, Any] = read_object(folder.rehearsed, _Rehearsed, advice)["images"]
    return images


def read_merged(path: Path) -> dict[str, Any]:
    """Return what a merge replaced in an image, and its result: a file of `merged/001/`."""
    return read_object(path, _Merged, "restore it, it is the only copy of what the merge replaced")

"""`sparsedet.toml`: a workspace's connection to its tool, and the settings of its rounds."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sparsedet.atomic_io import write_text
from sparsedet.completeness.budget import parse_budget
from sparsedet.errors import SparseDetError
from sparsedet.loop.image_settings import ImageSettings
from sparsedet.loop.settings_template import TEMPLATE
from sparsedet.push_modes import ModeName
from sparsedet.reading import MOST_SETTINGS, first_problem, read_text, read_toml
from sparsedet.reviews import AnnotationRule
from sparsedet.seeds import MAX_SEED
from sparsedet.tool import Choice, Shapes, ToolOptions

if TYPE_CHECKING:
    from sparsedet.sparsify import GroupBy

ReviewMode = Literal[ModeName, "auto"]
"""A push mode, or `auto`: each box is reviewed where that takes least time."""


_FIRST_LINE = TEMPLATE.partition("\n")[0]
_LAST_SECTION = "images"
"""All written files end with it. TOML that is cut off after a line is valid, and short files that
people write have defaults for the rest."""
NO_BUDGET = 'mode = "draft" has no queue that a budget could limit'


class _Section(BaseModel):
    # A project's number may be unquoted.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class Source(_Section):
    """Where a workspace's annotations come from. Holds no credentials."""

    tool: str = Field(min_length=1)
    """Name of the integration."""
    url: str
    project: str = Field(min_length=1)
    annotations: AnnotationRule = "ground-truth-first"
    skip_unreadable: bool = True
    """Whether unreadable tasks are left out, instead of raising an error."""
    skip_share: float = Field(default=0.2, ge=0, le=1)
    """Maximum share of tasks left out."""
    max_answer_megabytes: float = Field(default=1000.0, gt=0)
    max_answer_seconds: float = Field(default=1800.0, gt=0)
    control: str = ""
    """The control for boxes; empty: the only one."""
    shapes: Shapes = "skip"
    view: int = Field(default=0, ge=0)
    """0: all images."""
    only: list[str] = []
    """Labels; empty: all."""
    annotators: list[str] = []
    """Mail addresses or numbers; empty: everybody."""
    skip_skipped: bool = False

    @property
    def choice(self) -> Choice:
        """The part of the project to work on."""
        return Choice(
            self.view or None, tuple(self.only), tuple(self.annotators), self.skip_skipped
        )

    def is_same_project(self, other: "Source") -> bool:
        """Return whether both name one project of one server."""
        return (self.tool, self.url, self.project) == (other.tool, other.url, other.project)


class LabelSettings(_Section):
    """Labels that were renamed in the project."""

    rename: dict[str, str] = {}
    """Stored label -> current name; empty: the boxes are left out."""


class CostSettings(_Section):
    """Review times in seconds; see `ReviewCosts`."""

    model_config = ConfigDict(allow_inf_nan=False)

    image: float = Field(default=2.0, ge=0)
    box: float = Field(default=0.7, ge=0)
    correction: float = Field(default=2.5, gt=0)
    drawing: float = Field(default=7.0, gt=0)


class AcceptSettings(_Section):
    """Acceptance by sample; see `completeness.lots`."""

    precision: float = Field(default=0.0, ge=0, lt=1)
    """Least share of right boxes in a lot; 0: no lots."""
    confidence: float = Field(default=0.95, ge=0.5, lt=1)

    @property
    def is_on(self) -> bool:
        """Whether boxes are accepted by sample."""
        return self.precision > 0


class ReviewSettings(_Section):
    """How mined boxes reach reviewers."""

    mode: ReviewMode = "review-project"
    complete_control: str = Field(default="sparsedet_complete", min_length=1)
    min_reviewed: float = Field(default=0.1, ge=0, le=1)
    """Share of the reviewed images below which the next round asks before it starts."""
    audit: int = Field(default=20, ge=0)
    """Maximum number of images per round that are shown without mined boxes."""
    suspicions: int = Field(default=50, ge=0)
    """Maximum number of suspicious annotations marked per round."""
    budget: str = ""
    """Limits the queue or the contact sheets; see `parse_budget`."""
    sure_first: bool = False
    """Whether rounds show sure boxes only, without drawing, as long as these bring enough."""
    accept: AcceptSettings = AcceptSettings()
    costs: CostSettings = CostSettings()

    @property
    def modes(self) -> tuple[ModeName, ...]:
        """The push modes, the one for images first."""
        return ("review-project", "sheets") if self.mode == "auto" else (self.mode,)

    @field_validator("budget")
    @classmethod
    def _check_budget(cls, value: str) -> str:
        try:
            parse_budget(value) if value else None
        except SparseDetError as error:
            raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _check_budget_has_use(self) -> Self:
        if self.budget and self.mode == "draft":
            raise ValueError(f"{NO_BUDGET}; remove it")
        return self

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.mode not in ("review-project", "auto"):
            need = 'needs mode = "review-project" or "auto": other modes have no queue'
            if self.accept.is_on:
                raise ValueError(f"accept {need} to show the samples in")
            if self.sure_first:
                raise ValueError(f"sure_first {need}; set sure_first = false")
        return self


class TrainingSettings(_Section):
    """The training of every round."""

    config: str = "lite0_fpn"
    method: Literal["plain", "augmented", "end-to-end", "staged"] = "staged"
    seed: int = Field(default=1, ge=0, le=MAX_SEED)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    minutes: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """That a training takes on the machine where it starts; 0: SOLVER.MAX_ITER says how long."""
    keys: dict[str, bool | int | float | str | list[int | float | str]] = {}
    """Keys that override the configuration."""

    @field_validator("keys", mode="before")
    @classmethod
    def _flatten(cls, value: Any) -> Any:
        """Accept `SOLVER.MAX_ITER = 800` without quotes, which TOML reads as nested tables."""
        return dict(_flat(value)) if isinstance(value, dict) else value

    def overrides(self) -> list[str]:
        """Return the keys as the `KEY VALUE` words of `sparsedet train`."""
        return [word for key, value in self.keys.items() for word in (key, str(value))]


class MiningSettings(_Section):
    """Which detections reviewers see."""

    target_precision: float = Field(default=0.0, ge=0, lt=1)
    """Expected precision of all shown boxes together; 0: whatever saves time."""
    hidden: float = Field(default=0.1, ge=0, le=0.5)
    """Share of the annotations hidden from a round's training."""
    quantile: float | None = Field(default=None, exclude=True)
    """Obsolete; only kept for an error message."""


class RoundSettings(_Section):
    """When rounds end."""

    stop_at: float = Field(default=0.95, gt=0, le=1)
    """Estimated share of objects that have a box."""


class ValidationSettings(_Section):
    """Evaluation data of every round: `data`, else `share`, else what `auto` chooses."""

    auto: bool = False
    """See `loop.validation`."""
    share: float = Field(default=0.0, ge=0, lt=1)
    group_by: str = ""
    """What images of a group have in common; empty: no groups."""
    data: str = ""
    """A COCO file, or a Pascal VOC or YOLO folder; relative to the workspace."""
    images: str = ""
    """Its image folder; empty: `images` next to it."""

    @field_validator("group_by")
    @classmethod
    def _check_group_by(cls, value: str) -> str:
        _parse_group_by(value)
        return value

    def grouping(self) -> "GroupBy | None":
        """Return what images of a group have in common, if anything."""
        return _parse_group_by(self.group_by)


class Settings(_Section):
    """The content of `sparsedet.toml`."""

    source: Source
    labels: LabelSettings = LabelSettings()
    review: ReviewSettings = ReviewSettings()
    training: TrainingSettings = TrainingSettings()
    mining: MiningSettings = MiningSettings()
    rounds: RoundSettings = RoundSettings()
    validation: ValidationSettings = ValidationSettings()
    images: ImageSettings = ImageSettings()

    def tool_options(self, owner: str | None = None) -> ToolOptions:
        """Return the read options of the annotation tool, for the workspace `owner`."""
        return ToolOptions(
            complete_control=self.review.complete_control,
            annotations=self.source.annotations,
            rename=self.labels.rename,
            control=self.source.control or None,
            shapes=self.source.shapes,
            choice=self.source.choice,
            owner=owner,
            images=self.images.options(),
            skip_share=self.source.skip_share if self.source.skip_unreadable else None,
            max_answer_megabytes=self.source.max_answer_megabytes,
            max_answer_seconds=self.source.max_answer_seconds,
        )


def new_settings(source: Source, review: ReviewSettings | None = None) -> Settings:
    """Return the settings of a new workspace.

    Its rounds choose image size and anchors by the boxes, and hold out images for evaluation.
    """
    return Settings(
        source=source,
        review=review or ReviewSettings(),
        training=TrainingSettings(config="auto"),
        validation=ValidationSettings(auto=True),
    )


def read_settings(path: Path) -> Settings:
    """Read `sparsedet.toml`.

    Raises:
        SparseDetError: naming the file, and the wrong key or position.
    """
    if not path.exists():
        raise SparseDetError(f"{path}: no such file; run `sparsedet init` or `sparsedet pull`")
    content = read_toml(path)
    if _LAST_SECTION not in content and read_text(path).startswith(_FIRST_LINE):
        raise SparseDetError(
            f"{path}: cut off: without [{_LAST_SECTION}], which `sparsedet init` writes last; "
            "restore the file, or add what it lacks (the heading alone means defaults)"
        )
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise SparseDetError(f"{path}: {_first_problem(error)}") from error


def write_settings(settings: Settings, path: Path) -> None:
    """Write `sparsedet.toml`, with comments on its keys, atomically."""
    document = tomlkit.parse(TEMPLATE)
    for section, values in settings.model_dump().items():
        table = document[section]
        for key, value in values.items():
            if isinstance(value, dict):
                table[key].update(value)
            else:
                table[key] = value
    write_text(path, tomlkit.dumps(document))


def change_source(path: Path, changes: Mapping[str, Any]) -> None:
    """Change keys of `[source]` in a `sparsedet.toml`, atomically; the rest is unchanged."""
    document = tomlkit.parse(read_text(path, "TOML file", most=MOST_SETTINGS))
    document["source"].update(changes)
    write_text(path, tomlkit.dumps(document))


def _parse_group_by(text: str) -> "GroupBy | None":
    # Imported here since it imports numpy, which `--help` does without.
    from sparsedet.sparsify.grouping import GroupBy

    if not text:
        return None
    try:
        return GroupBy.parse(text)
    except SparseDetError as error:
        # The only error type that pydantic reports as a wrong value.
        raise ValueError(str(error)) from error


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _suggestion(where: Sequence[str]) -> str:
    """Return `; did you mean ...?` for an unknown key, or nothing."""
    section: type[BaseModel] = Settings
    for name in where[:-1]:
        if not isinstance(kind := section.model_fields[name].annotation, type):
            return ""
        section = kind
    near = get_close_matches(where[-1], section.model_fields, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _first_problem(error: ValidationError) -> str:
    if (problem := error.errors()[0])["type"] == "extra_forbidden":
        where = [str(key) for key in problem["loc"]]
        return f"unknown setting {'.'.join(where)}{_suggestion(where)}"
    said = first_problem(error)
    return f"the setting {said}" if problem["type"] == "missing" else said

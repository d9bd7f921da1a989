"""The review project of an annotated one: found or created, claimed, and updated to its labels."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx

from sparsedet.errors import ToolError
from sparsedet.sheets.as_images import LAYOUT
from sparsedet.tool import ToolOptions

from ..class_marks import class_control
from ..client.connection import Connection, RequestRefusedError
from ..judge_only import with_judge_only
from ..labelling_config.label_config import COMPLETE_CONTROL, LabelConfig, parse_config
from ..labelling_config.plain_config import plain_config
from ..marks import Mark, check_source, foreign_workspace, read_mark, with_mark
from ..project_records import create_project, list_projects, read_project, update_project
from ..projects import project_config
from ..sheets.sheet_config import sheet_instruction, sheet_xml
from ..views import HIDDEN_COLUMNS, find_or_add_view
from .additions import with_additions
from .class_choices import with_class_choices
from .complete_mark import complete_key, with_complete_mark
from .config_union import config_union
from .instruction import instruction, is_ours
from .optional_fields import without_required
from .review_look import with_review_look
from .review_tabs import Facts, show_tabs
from .review_tasks import SOURCE_TASK_KEY, VERSION_KEY, read_review_tasks

logger = logging.getLogger(__name__)

VIEW_TITLE = "To review"
EARLIER_VIEW_TITLE = "By model score"
"""Title of a view of earlier versions, which was ordered by score."""
_TITLE_SUFFIX = " - sparsedet review"
_MAX_TITLE = 50
_DESCRIPTION = (
    "Boxes that a model found missing in {}. Delete wrong ones, correct the others, draw missing "
    "ones, Submit."
)
_SHEETS_SUFFIX = " - sparsedet sheets"
_SHEETS_DESCRIPTION = (
    "Boxes that a model found missing in {}, cropped and sorted by class. Delete wrong ones, "
    "correct the others, Submit."
)
_STORAGES = {"s3": "s3", "gs": "gcs", "azure-blob": "azure"}
"""URI schemes that Label Studio resolves through a storage of the task's project."""


@dataclass(frozen=True)
class SourceProject:
    """The annotated project, as copied by a review project."""

    number: int
    title: str
    annotated: LabelConfig
    """Its labelling config."""

    @cached_property
    def config(self) -> LabelConfig:
        """The plain form of it, which review projects use."""
        return plain_config(self.annotated)

    def review_xml(self, before: str = "", *, sheets: bool = False) -> str:
        """Return the labelling config of its review project.

        It has controls that mark complete images and classes, one that says where drawing can wait,
        and shows whose a box is; none of its fields is required. That of contact sheets has only
        boxes. Tags that people added to the current one are kept.

        Args:
            before: the review project's current config.
            sheets: for the review project of contact sheets.

        Raises:
            ToolError: see `with_complete_mark` and `with_class_choices`.
        """
        if sheets:
            return with_additions(sheet_xml(self.config), before, self.config.image)
        by_class = replace(self.config, xml=with_class_choices(self.config, self.number))
        marked = with_complete_mark(by_class, self.number, before)
        asked = with_judge_only(marked, self.config.image)
        looks = with_review_look(without_required(asked), self.config)
        return with_additions(looks, before, self.config.image)

    def instruction(self, before: str = "", *, sheets: bool = False) -> str:
        """Return the instruction for reviewers; arguments as for `review_xml`."""
        if sheets:
            return sheet_instruction(self.config)
        xml = self.review_xml(before)
        wanted = self.config.complete
        control = wanted.control if wanted else COMPLETE_CONTROL
        config = parse_config(xml, str(self.number), control=self.config.control)
        (mark,) = (choice for choice in config.choices if choice.control == control)
        by_class = class_control(config) is not None
        return instruction(mark, complete_key(xml, control), by_class=by_class)


@dataclass(frozen=True, slots=True)
class ReviewProject:
    """An existing review project."""

    number: int
    mark: Mark
    description: str
    label_config: str
    instruction: str
    tasks: int


def read_source(connection: Connection, number: int, options: ToolOptions) -> SourceProject:
    """Read the annotated project.

    Raises:
        ToolError: if it is itself a review project; see also `parse_config`.
    """
    project = read_project(connection, number)
    check_source(connection, number, project.description)
    config = project_config(connection, number, project.label_config, options)
    return SourceProject(number, project.title or f"Project {number}", config)


def find_reviews(
    connection: Connection, source: int, control: str, *, sheets: bool | None = False
) -> list[ReviewProject]:
    """Return the review projects of a control of the annotated project, the one in use first.

    There are several of a kind only if a request to create one was delivered late: those with tasks
    come first, then the oldest.

    Args:
        connection: to the server.
        source: number of the annotated project.
        control: name of the RectangleLabels control.
        sheets: those for contact sheets; None for both kinds.
    """
    found = [
        ReviewProject(
            project.number,
            mark,
            project.description,
            project.label_config,
            project.instruction,
            project.tasks,
        )
        for project in list_projects(
            connection, f"looking for the review project of project {source}"
        )
        if (mark := read_mark(project.description))
        and mark.is_for(source, control)
        and sheets in (None, mark.sheets)
    ]
    return sorted(found, key=lambda review: (not review.tasks, review.number))


def check_claims(
    connection: Connection, reviews: Iterable[ReviewProject], owner: str | None
) -> None:
    """Check that no other workspace works in the review projects.

    Raises:
        ToolError: naming the first such project.
    """
    for review in reviews:
        if review.mark.is_foreign(owner):
            place = f"the review project {connection.url}/projects/{review.number}"
            raise foreign_workspace(place, str(review.mark.workspace))


def open_boxes(connection: Connection, review: int) -> int:
    """Return how many mined boxes are pending on open tasks of a review project."""
    return len(
        {
            id
            for task in read_review_tasks(connection, review)
            if task.is_open
            for prediction in task.predictions
            if not prediction.by_backend
            for id in prediction.mined_ids
        }
    )


def set_up_review(
    connection: Connection,
    source: SourceProject,
    reviews: Iterable[ReviewProject],
    owner: str | None,
    *,
    sheets: bool = False,
) -> int:
    """Return the review project of the annotated one, created if missing, ready for a push.

    It gets this workspace's mark, and the annotated project's labels with what reviews need; see
    `SourceProject.review_xml`. A duplicate created by a late request is deleted while untouched.
    """
    mark = Mark(source.number, source.config.control, owner, sheets)
    content, titles = _content(connection, source, mark), _titles(source, mark)
    found = list(reviews)
    if not found:
        what = f"making the review project of project {source.number}"
        taken = {project.title for project in list_projects(connection, what)}
        title = next((title for title in titles if title not in taken), titles[-1])
        return create_project(connection, {**content, "title": title}, what)
    review, *others = found
    for other in others:
        if not other.tasks:
            _delete_late(connection, other, titles, content["description"])
    claim(connection, review, source, owner)
    _carry_config(connection, source, review)
    return review.number


def claim(
    connection: Connection, review: ReviewProject, source: SourceProject, owner: str | None
) -> None:
    """Set this workspace's mark, description and instruction.

    Texts that people changed are kept.
    """
    changes: dict[str, Any] = {}
    sheets = review.mark.sheets
    mark = Mark(review.mark.source, source.config.control, owner or review.mark.workspace, sheets)
    if mark != review.mark:
        changes["description"] = with_mark(review.description, mark)
    wanted = source.instruction(review.label_config, sheets=sheets)
    if not review.instruction:
        changes |= {"expert_instruction": wanted, "show_instruction": True}
    elif review.instruction != wanted and is_ours(review.instruction):
        changes["expert_instruction"] = wanted
    if changes:
        what = f"setting up review project {review.number}"
        update_project(connection, review.number, changes, what)


def check_addresses(connection: Connection, review: int, addresses: Iterable[str]) -> None:
    """Check that images can resolve in the review project.

    Raises:
        ToolError: if they are in a cloud storage that only the annotated project is connected to.
    """
    schemes = {urlsplit(address).scheme for address in addresses} & set(_STORAGES)
    for scheme in sorted(schemes):
        what = f"listing the storages of review project {review}"
        path = f"api/storages/{_STORAGES[scheme]}"
        if not connection.get_objects(path, {"project": review}, what):
            raise ToolError(
                f"the images are {scheme}:// addresses, which Label Studio resolves through the "
                "storages of the project that shows them: connect the storage to "
                f"{connection.url}/projects/{review}/settings/storage (no sync needed), push again"
            )


def show_queue(connection: Connection, review: int, facts: Facts) -> None:
    """Add a view of the tasks in order of creation, like the label stream.

    Further views sort and filter them by figures in their data; see `review_tabs`.
    """
    keys = (SOURCE_TASK_KEY, VERSION_KEY, LAYOUT)
    hidden = [*HIDDEN_COLUMNS, *(f"tasks:data.{key}" for key in keys)]
    settings = {
        "ordering": ["tasks:id"],
        "hiddenColumns": {"explore": hidden, "labeling": hidden},
    }
    find_or_add_view(connection, review, VIEW_TITLE, settings)
    if facts:
        show_tabs(connection, review, facts, hidden)


def _content(connection: Connection, source: SourceProject, mark: Mark) -> dict[str, Any]:
    """Return the content for creating a review project, without its title."""
    url = f"{connection.url}/projects/{source.number}"
    description = (_SHEETS_DESCRIPTION if mark.sheets else _DESCRIPTION).format(url)
    return {
        "description": with_mark(description, mark),
        "label_config": source.review_xml(sheets=mark.sheets),
        "expert_instruction": source.instruction(sheets=mark.sheets),
        "show_instruction": True,
    }


def _titles(source: SourceProject, mark: Mark) -> list[str]:
    """Return titles for a review project, to be used if the ones before are taken."""
    suffix = _SHEETS_SUFFIX if mark.sheets else _TITLE_SUFFIX
    number = f" #{source.number}"
    tags = ("", number, f"{number} {source.config.control[:12]}")
    return [source.title[: _MAX_TITLE - len(tag + suffix)] + tag + suffix for tag in tags]


def _delete_late(
    connection: Connection, review: ReviewProject, titles: Collection[str], description: str
) -> None:
    """Delete a duplicate review project that is empty and untouched."""
    what = f"looking at review project {review.number}, which is a duplicate"
    now = read_project(connection, review.number, what)
    if now.tasks or now.title not in titles or now.description != description:
        return
    what = f"deleting the empty review project {review.number}, a duplicate"
    connection.delete(f"api/projects/{review.number}/", what)


def _carry_config(connection: Connection, source: SourceProject, review: ReviewProject) -> None:
    """Give the review project the annotated project's labelling config, with what reviews need.

    The server refuses a config without a control that annotations use: then the missing parts are
    kept.

    Raises:
        ToolError: if it refuses that too.
    """
    wanted = source.review_xml(review.label_config, sheets=review.mark.sheets)
    if review.label_config == wanted:
        return
    refused = _try_config(connection, review.number, wanted)
    if not refused:
        return
    union = config_union(wanted, review.label_config)
    if union == review.label_config:
        return
    if refused := _try_config(connection, review.number, union):
        raise ToolError(
            f"the labels of project {source.number} can't be carried over to its review project "
            f"{connection.url}/projects/{review.number}, whose reviews use others: {refused}; "
            "change the labels back, or merge its reviews and delete it"
        )
    logger.warning(
        "review project %d keeps controls that project %d no longer has: its reviews use them",
        review.number,
        source.number,
    )


def _try_config(connection: Connection, review: int, xml: str) -> str:
    """Set a labelling config; return why the server refuses it, or ""."""
    what = f"carrying the labels over to review project {review}"
    try:
        update_project(connection, review, {"label_config": xml}, what)
    except RequestRefusedError as error:
        if error.status != httpx.codes.BAD_REQUEST or not isinstance(error.body, dict):
            raise
        said = error.body.get("validation_errors") or error.body.get("detail")
        return " ".join(str(said).split()) or "no reason given"
    return ""

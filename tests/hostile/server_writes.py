"""Answers to what changes a server, and to what a push reads before: none but Label Studio's own
counts as done."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from sparsedet.annotations import read_coco
from sparsedet.annotations.mined_boxes import MinedBox, write_mined
from sparsedet.ledger import Ledger, Push
from tests.cli.command import sparsedet_here

from .case import Arguments, Case
from .odd_server import CONFIG, Answer, OddServer, json_answer, page, task

Mode = Literal["review-project", "draft"]

MINED = MinedBox("m1", 1, 2, (4.0, 4.0, 20.0, 20.0), 0.9, 0.5)
REVIEW = 7
"""Number of the review project."""
MARK = "[sparsedet review of project 1: control=label]"
COPY: dict[str, Any] = {
    "id": 71,
    "data": {"image": "/images/1.png", "sparsedet_source_task": 1},
    "annotations": [],
}
"""The task of the review project."""


def listed(*projects: object) -> Answer:
    """Return a page of the list of projects."""
    return json_answer({"count": len(projects), "results": list(projects)})


def tasks_of(*tasks: object, total: object = 2) -> Answer:
    """Return a page of the list of tasks."""
    return json_answer({"tasks": list(tasks), "total": total, "total_annotations": 2})


def exported(*tasks: Mapping[str, Any]) -> Mapping[str, Answer]:
    """Return the answers that the review project has these tasks."""
    listed = [{"id": task["id"], "data": task["data"]} for task in tasks]
    return {
        "/api/projects/7/export": json_answer(list(tasks)),
        "/api/tasks/?project=7": tasks_of(*listed, total=len(tasks)),
    }


SOURCE_TASKS = [{**task(id), "drafts": []} for id in (1, 2)]
USUAL: Mapping[str, Answer] = {
    "/api/projects/": listed({"id": REVIEW, "description": MARK, "task_number": 1}),
    "/api/projects/1": json_answer({"id": 1, "title": "fruit", "label_config": CONFIG}),
    "/api/projects/7": json_answer({"id": REVIEW, "label_config": CONFIG, "description": MARK}),
    "PATCH /api/tasks/71": json_answer({"id": 71}),
    "PATCH /api/projects/7": json_answer({"id": REVIEW}),
    **exported(COPY),
    "/api/tasks/": tasks_of(*({"id": t["id"], "data": t["data"]} for t in SOURCE_TASKS)),
    "/api/tasks/1/annotations/": json_answer(SOURCE_TASKS[0]["annotations"]),
    "/api/tasks/1/drafts": json_answer([]),
    "/api/projects/1/export": json_answer(SOURCE_TASKS),
    "/api/predictions/": json_answer([]),
    "POST /api/projects/7/import/predictions": json_answer({"created": 1}, 201),
}
"""What a push to a server finds there: a review project with one task, which shows nothing yet."""


def workspace_of(folder: Path, server: OddServer, mode: Mode) -> None:
    """Pull a workspace from the server, with one mined box for review."""
    env = {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": "0" * 40}
    pulled = sparsedet_here("pull", "--project", "1", "-o", "workspace", cwd=folder, env=env)
    assert pulled.status == 0, pulled
    settings = folder / "workspace/sparsedet.toml"
    settings.write_text(settings.read_text().replace('"review-project"', f'"{mode}"'))
    write_mined([MINED], {}, folder / "mined.json")


def push_with(
    answers: Mapping[str, Answer], name: str, says: str, mode: Mode = "review-project"
) -> Case:
    """Return the case of a `push` to a server with these answers."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        workspace_of(folder, server, mode)
        server.answers.update({**USUAL, **answers})
        return "push", "mined.json", "--data", "workspace"

    return Case(f"push: {name}", prepare, says)


def draft_with(answers: Mapping[str, Answer], name: str, says: str) -> Case:
    """Return the case of a `push` of drafts."""
    return push_with({"/api/projects/": listed(), **answers}, f"draft: {name}", says, "draft")


def review_with(answers: Mapping[str, Answer], name: str, says: str) -> Case:
    """Return the case of a `review` of the pushed box, on a server with these answers."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        workspace_of(folder, server, "review-project")
        dataset = read_coco(folder / "workspace/annotations.json")
        with closing(Ledger(folder / "workspace/ledger.sqlite")) as ledger:
            push = Push(
                tool="label-studio",
                url=server.url,
                project="1",
                review_project=str(REVIEW),
                model_version="run-1",
            )
            ledger.record_push(push, [MINED], dataset)
        server.answers.update({**USUAL, **answers})
        return "review", "workspace"

    return Case(f"review: {name}", prepare, says)


def sent_draft(*drafts: object) -> Sequence[object]:
    """Return the annotated project's tasks, the first with these drafts."""
    return [{**SOURCE_TASKS[0], "drafts": list(drafts)}, SOURCE_TASKS[1]]


NO_PROJECT = {"/api/projects/": listed()}
MOVED = Answer(b"", 301, headers={"Location": "/elsewhere/"})
_MAKING = "making the review project of project 1"
_DRAFT = "writing a draft on task 1"
POST_DRAFT = "POST /api/tasks/1/annotations/1/drafts"
IMPORT = "POST /api/projects/7/import"
NEW = f"{IMPORT}/predictions"

_PROJECTS = [
    push_with(
        {**NO_PROJECT, "POST /api/projects/": page()},
        "a new project answered with a page",
        f"a page of HTML.*{_MAKING}.*repeat",
    ),
    push_with(
        {**NO_PROJECT, "POST /api/projects/": json_answer({})},
        "a new project without number",
        f"{_MAKING}.*'id' should be a whole number",
    ),
    push_with(
        {**NO_PROJECT, "POST /api/projects/": json_answer([7])},
        "a new project that is a list",
        f"{_MAKING}.*should be an object",
    ),
    push_with(
        {**NO_PROJECT, "POST /api/projects/": MOVED},
        "a new project that is redirected",
        f"redirects a POST to another address.*{_MAKING}",
    ),
    push_with(
        {**NO_PROJECT, "POST /api/projects/": Answer(b"", 204)},
        "a new project answered with nothing",
        f"status 204 and no content.*{_MAKING}",
    ),
    push_with({"/api/projects/": page()}, "a list of projects that is a page", "a page of HTML"),
    push_with({"/api/projects/": json_answer([1])}, "projects in a list", "should be an object"),
    push_with({"/api/projects/": listed(5)}, "a project that is a number", "should be an object"),
    push_with(
        {"/api/projects/": json_answer({"results": []})},
        "an uncounted list of projects",
        "'count' should be a whole number, but is nothing",
    ),
    push_with(
        {"PATCH /api/projects/7": page()},
        "a changed project answered with a page",
        "a page of HTML.*setting up review project 7",
    ),
    push_with(
        {"PATCH /api/projects/7": json_answer({"id": 8})},
        "a change of another project",
        "setting up review project 7.*id should be 7, but is a number, 8",
    ),
]

_BOXES = [
    push_with(
        {NEW: page()}, "predictions answered with a page", "a page of HTML.*creating predictions"
    ),
    push_with({NEW: json_answer({})}, "uncounted predictions", "'created' should be a whole num"),
    push_with(
        {NEW: json_answer({"created": 0})}, "predictions that were dropped", "accepted only 0 of 1"
    ),
    push_with(
        {**exported(), IMPORT: page()},
        "tasks answered with a page",
        "a page of HTML.*creating tasks in review project 7",
    ),
    push_with(
        {**exported(), IMPORT: json_answer({"task_count": 1})},
        "tasks that never come",
        "accepted only some of the tasks",
    ),
    push_with(
        {**exported(), IMPORT: json_answer({"task_count": 1, "task_ids": ["seven"]})},
        "tasks that have names",
        "accepted only some of the tasks",
    ),
    push_with(
        {
            **exported(),
            IMPORT: json_answer({"task_count": 1, "task_ids": [71]}),
            "/api/dm/views/": page(),
        },
        "views that are a page, after tasks that are not listed yet",
        "a page of HTML.*listing the views of project 7",
    ),
    push_with({"/api/predictions/": json_answer({})}, "no predictions", "should be a list"),
    push_with({"/api/predictions/": json_answer([7])}, "a number listed", "should be an object"),
    push_with(
        {"/api/predictions/": json_answer([{"id": 1}])},
        "a prediction of no task",
        "'task' should be a whole number",
    ),
    push_with({"/api/tasks/": json_answer({})}, "no list of tasks", "looking for drafts in proj"),
    push_with(
        {"/api/tasks/": tasks_of({"data": {}}, total=1)}, "a listed task without id", "'id' should"
    ),
    push_with(
        {"/api/tasks/": tasks_of(total="two")}, "tasks counted in words", "'total' should be a wh"
    ),
    push_with(exported({**COPY, "id": None}), "a review task without number", "'id' should be"),
    push_with(
        {"/api/dm/views/": json_answer([1])}, "views that are numbers", "should be an object"
    ),
    push_with(
        {"/api/dm/views/": json_answer([]), "POST /api/dm/views/": page()},
        "a view answered with a page",
        "a page of HTML.*adding a view to project 7",
    ),
]

_DRAFTS = [
    draft_with({POST_DRAFT: page()}, "a page", f"a page of HTML.*{_DRAFT}"),
    draft_with({POST_DRAFT: Answer(b"ok")}, "a text", f"not JSON, but the text 'ok'.*{_DRAFT}"),
    draft_with({POST_DRAFT: json_answer({})}, "an empty object", f"{_DRAFT}.*'id' should be"),
    draft_with({POST_DRAFT: MOVED}, "a redirect", f"redirects a POST .*{_DRAFT}"),
    draft_with(
        {"/api/tasks/1/annotations/": json_answer({})}, "annotations, no list", "should be a list"
    ),
    draft_with(
        {"/api/projects/1/export": json_answer(sent_draft(5))},
        "drafts that are numbers",
        "does not include the content of drafts",
    ),
    draft_with(
        {"/api/projects/1/export": json_answer(sent_draft({"result": []}))},
        "a draft without number",
        "reading the drafts of project 1.*'id' should be",
    ),
]

_BOX = {"result": [5, {"id": 3}, {"id": "m1", "value": [1]}], "id": 5}
_REVIEWS = [
    review_with({"/api/projects/7/export": page()}, "a page", "a page of HTML"),
    review_with({"/api/predictions/": page()}, "predictions, a page", "a page of HTML"),
    review_with(exported({**COPY, "annotations": 5}), "annotations, a number", "should be a list"),
    review_with(
        {**exported({**COPY, "annotations": [_BOX]}), "/api/users/": json_answer([{"email": "a"}])},
        "an account without number",
        "listing the accounts.*'id' should be",
    ),
]

CASES = [*_PROJECTS, *_BOXES, *_DRAFTS, *_REVIEWS]

"""Answers to `predict --push` and its --undo: only the server's own count."""

from collections.abc import Mapping
from pathlib import Path

from tests.prediction.random_run import make_random_run

from .case import Arguments, Case
from .odd_server import CONFIG, Answer, OddServer, json_answer, page, task

PROJECT = "/api/projects/1"
NEW = "POST /api/projects/1/import/predictions"
OURS = {"id": 5, "task": 1, "model_version": "sparsedet prelabels run-0 0", "result": []}
USUAL: Mapping[str, Answer] = {
    PROJECT: json_answer(
        {"id": 1, "label_config": CONFIG.replace("orange", "7"), "model_version": ""}
    ),
    f"{PROJECT}/export": json_answer([{**task(id), "annotations": []} for id in (1, 2)]),
    "/api/predictions/": json_answer([]),
    f"PATCH {PROJECT}": json_answer({"id": 1}),
    NEW: json_answer({"created": 2}, 201),
}


def prelabels_with(
    answers: Mapping[str, Answer], name: str, says: str, *options: str, status: int = 1
) -> Case:
    """Return the case of `predict --push` on a server with these answers."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        server.answers.update({**USUAL, **answers})
        run = make_random_run(folder / "run")
        return ("predict", str(run), "--push", "1", "--device", "cpu", *options)

    return Case(f"pre-labels: {name}", prepare, says, status)


CASES = [
    prelabels_with({}, "nothing odd", "2 tasks got predictions", status=0),
    prelabels_with({NEW: page()}, "an import answered with a page", "a page of HTML.*creating pre"),
    prelabels_with(
        {NEW: json_answer({"created": 1})}, "an import that drops one", "accepted only 1 of 2 pred"
    ),
    prelabels_with({"/api/predictions/": json_answer([7])}, "a number listed", "be an object"),
    prelabels_with(
        {"/api/predictions/": json_answer([{**OURS, "model_version": 7}])},
        "a model version that is a number",
        "'model_version' should be",
    ),
    prelabels_with(
        {"/api/predictions/": json_answer([{**OURS, "result": "x", "task": 9}])},
        "a prediction of a task that is not there",
        "2 tasks got predictions",
        status=0,
    ),
    prelabels_with(
        {
            f"{PROJECT}/export": json_answer([1, {**task(2), "annotations": []}]),
            NEW: json_answer({"created": 1}),
        },
        "an odd task",
        "1 task got predictions.*left out 1 of 2 tasks",
        status=0,
    ),
    prelabels_with(
        {"/images/": Answer(b"no image", kind="image/png")},
        "images that are none",
        "task 1: .*not a readable image.* of 2 tasks 2 can't be read",
    ),
    prelabels_with({f"PATCH {PROJECT}": page()}, "settings answered with a page", "a page of HTML"),
    prelabels_with(
        {"/api/predictions/": json_answer([OURS]), "DELETE /api/predictions/5": page()},
        "a deletion answered with a page",
        "a page of HTML.*deleting the outdated prediction 5",
        "--undo",
    ),
]

"""Answers of a server that are none of Label Studio's."""

from collections.abc import Mapping
from pathlib import Path

from .case import Arguments, Case
from .odd_server import Answer, OddServer, json_answer, page

PULL: Arguments = ("pull", "--project", "1", "-o", "workspace")


def pull_with(answers: Mapping[str, Answer], name: str, says: str, status: int = 1) -> Case:
    """Return the case of a `pull` from a server with these answers."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        server.answers.update(answers)
        return PULL

    return Case(name, prepare, says, status)


EXPORT = "/api/projects/1/export"

CASES = [
    pull_with({}, "pull of an ordinary server", "2 boxes on 2 images", status=0),
    pull_with({"/api/": page()}, "pull behind a login page", "is the address right"),
    pull_with({EXPORT: json_answer({"a": 1})}, "export that is no list", "no list of tasks"),
]

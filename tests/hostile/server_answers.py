"""Server answers that are not Label Studio's."""

import gzip
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .case import Arguments, Case
from .odd_server import CONFIG, Answer, OddServer, json_answer, page, task

PULL: Arguments = ("pull", "--project", "1", "-o", "workspace")
EXPORT = "/api/projects/1/export"
PROJECT = "/api/projects/1"
WHOAMI = "/api/current-user/whoami"


def pull_with(
    answers: Mapping[str, Answer], name: str, says: str, status: int = 1, settings: str = ""
) -> Case:
    """Return the case of a `pull` from a server with these answers."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        server.answers.update(answers)
        if settings:
            workspace = folder / "workspace"
            workspace.mkdir()
            (workspace / "sparsedet.toml").write_text(
                f'[source]\ntool = "label-studio"\nurl = "{server.url}"\nproject = "1"\n{settings}'
            )
        return PULL

    return Case(name, prepare, says, status)


def export_of(body: bytes, name: str, says: str, status: int = 1) -> Case:
    """Return the case of a `pull` of a project whose export is this."""
    return pull_with({EXPORT: Answer(body)}, f"export: {name}", says, status)


def odd_task(name: str, reason: str, entry: object) -> Case:
    """Return the case of a `pull` of an odd task among two others."""
    body = json.dumps([task(1), entry, task(2)]).encode()
    says = rf"2 boxes on 2 images.*left out 1 of 3 tasks.*{reason}"
    return export_of(body, f"a task {name}", says, status=0)


def odd_region(name: str, says: str, **changes: Any) -> Case:
    """Return the case of a `pull` of a project with an odd region among two others."""
    entry = task(3)
    entry["annotations"][0]["result"][0] |= changes
    return export_of(
        json.dumps([task(1), entry, task(2)]).encode(), f"a region {name}", says, status=0
    )


def changed(**changes: Any) -> dict[str, Any]:
    """Return a third task, changed."""
    return {**task(3), **changes}


def annotated(**changes: Any) -> dict[str, Any]:
    """Return a third task whose annotation is changed."""
    entry = task(3)
    entry["annotations"][0] |= changes
    return entry


def with_number(text: str) -> bytes:
    """Return an export in which a number of the first region is written like this."""
    return json.dumps([task(1), task(2)]).encode().replace(b'"x": 10', f'"x": {text}'.encode(), 1)


def pieces(piece: bytes, seconds: float = 0.0) -> Iterator[bytes]:
    """Yield the same piece for ever, one every few seconds."""
    while True:
        yield piece
        time.sleep(seconds)


def redirect(to: str, status: int = 302) -> Answer:
    """Return an answer that says to ask elsewhere."""
    return Answer(b"", status, headers={"Location": to})


def packed(body: bytes, encoding: str) -> Answer:
    """Return an answer that says that it is packed."""
    return Answer(body, headers={"Content-Encoding": encoding})


CHOICES = """<Choices name="sparsedet_complete" toName="image"><Choice value="yes"/></Choices>
</View>"""
NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e400")
WHOLE = json.dumps([task(1), task(2)]).encode()
FINE = "2 boxes on 2 images"
NO_JSON = r"an answer that is not JSON, but .*exporting project 1"
NO_CONFIG = json_answer({"id": 1, "label_config": 5})

_EXPORTS = [
    export_of(b'{"a": 1}', "no list", "should be a list of tasks, but is an object, {'a': 1}"),
    export_of(b"[1]", "a list of a number", "no task is valid: a task should be an object"),
    export_of(b"null", "null", "should be a list of tasks, but is nothing"),
    export_of(b'"no"', "a text", "should be a list of tasks, but is the text 'no'"),
    export_of(b"<html>log in</html>", "a page", NO_JSON),
    export_of(b"please log in\x1b[2J", "a text that is not JSON", NO_JSON),
    export_of(WHOLE[:-9], "broken off", NO_JSON),
    export_of(b"", "nothing", "answered with status 200 and no content"),
    pull_with({EXPORT: Answer(b"", 204)}, "export: status 204", "status 204 and no content"),
    export_of(WHOLE.decode().encode("utf-16"), "in UTF-16", "is not encoded as UTF-8"),
    export_of(WHOLE.replace(b"orange", b"\xff\xfe"), "no UTF-8", "is not encoded as UTF-8"),
    export_of(b"\xef\xbb\xbf" + WHOLE, "with a mark of its byte order", FINE, status=0),
    export_of(b"[" * 100_000 + b"]" * 100_000, "nested 100,000 times", "is nested too deeply"),
    export_of(b"[" * 700 + b"]" * 700, "nested 700 times", "is nested too deeply"),
    *(
        export_of(with_number(text), f"the number {text[:9]}", "1 box on 2 images", status=0)
        for text in (*NO_NUMBERS, "7" * 400, "9" * 5000, "8" * 400 + ".0")
    ),
    export_of(WHOLE.replace(b"orange", b"\\ud800"), "half a character", "2 of 2 boxes have labels"),
]

_TASKS = [
    odd_task("that is a number", "a task should be an object", 7),
    odd_task("without number", "'id' should be a whole number, but is nothing", changed(id=None)),
    odd_task("with a text as number", "'id' should be a whole number", changed(id="3")),
    odd_task("with yes as number", "'id' should be a whole number", changed(id=True)),
    odd_task("with a negative number", "'id' should be a whole number", changed(id=-3)),
    odd_task("with a number that is too large", "'id' should be a whole", changed(id=2**70)),
    odd_task("with the number of another", "its id is that of another", changed(id=1)),
    odd_task("without data", "its data should be an object, but is nothing", changed(data=None)),
    odd_task("whose data is a list", "its data should be an object", changed(data=["a.png"])),
    odd_task("whose annotations are an object", "should be a list", changed(annotations={"a": 1})),
    odd_task("whose annotations are numbers", "should be an object", changed(annotations=[1])),
    odd_task("with no date", "'created_at' should be a date", changed(created_at="soon")),
    odd_task("whose annotation has no number", "'id' should be a whole", annotated(id=None)),
    odd_task("whose annotation has no date", "should be a text", annotated(updated_at=5)),
    odd_task("that took a text of time", "'lead_time' should be", annotated(lead_time="long")),
    odd_task("that a list completed", "'completed_by' should be", annotated(completed_by=[1])),
]

_ONE_LESS = "2 boxes on 3 images"
_REGIONS = [
    odd_region("whose value is a list", f"{_ONE_LESS}.*dropped 1 ", value=[1]),
    odd_region("whose kind is a list", f"{_ONE_LESS}.*dropped 1 ", type=["rectanglelabels"]),
    odd_region("of a control that is a list", f"{_ONE_LESS}.*dropped 1 ", from_name=[1]),
    odd_region("of an image that is an object", f"{_ONE_LESS}.*dropped 1 ", to_name={"a": 1}),
    odd_region("whose number is a list", "3 boxes on 3 images", id=[1, 2]),
    odd_region("with a score of 400 digits", f"{_ONE_LESS}.*dropped 1 ", score=10**400),
    odd_region("of an image of 400 digits", "3 boxes on 3 images", original_width=10**400),
    odd_region(
        "without number in a place of 400 digits",
        f"{_ONE_LESS}.*dropped 1 ",
        id=None,
        value={"x": 10**400, "y": 1, "width": 1, "height": 1, "rectanglelabels": ["orange"]},
    ),
    odd_region("whose note is a number", "3 boxes on 3 images", meta=5),
    odd_region("whose place is text", f"{_ONE_LESS}.*dropped 1 ", value={"x": "left"}),
    export_of(
        json.dumps([task(1), annotated(result="none"), task(2)]).encode(),
        "results that are a text",
        f"{_ONE_LESS}.*dropped 1 ",
        status=0,
    ),
]

_MARKED = json_answer({"id": 1, "label_config": CONFIG.replace("</View>", CHOICES)})
_PROJECTS = [
    pull_with(
        {EXPORT: json_answer([annotated(result=[{"from_name": [1]}, 5])]), PROJECT: _MARKED},
        "a result of a list of controls, where images can be marked as complete",
        "0 boxes on 1 image.*dropped 1 ",
        status=0,
    ),
    pull_with({"/api/": page()}, "pull behind a login page", "is the address right"),
    pull_with({WHOAMI: json_answer([1])}, "account: a list", "is the address right"),
    pull_with({WHOAMI: json_answer(None)}, "account: null", "is the address right"),
    pull_with({PROJECT: page()}, "project: a page", r"a page of HTML.*reading project 1"),
    pull_with({PROJECT: json_answer([1])}, "project: a list", "should be an object, but is a list"),
    pull_with({PROJECT: json_answer({})}, "project: empty", "'id' should be a whole number"),
    pull_with({PROJECT: NO_CONFIG}, "project: a number as config", "should be a text"),
    pull_with(
        {PROJECT: json_answer({"detail": "\x1b]0;x\x07 no"}, 418)},
        "project: an error",
        "status 418",
    ),
]

_REDIRECTS = [
    pull_with(
        {PROJECT: redirect("https://login.example.com/?next=1")},
        "redirect to another host",
        r"redirects to https://login\.example\.com:443, where the API key must not be sent",
    ),
    pull_with({PROJECT: redirect("http://[::1")}, "redirect to no address", "redirects to an"),
    pull_with({PROJECT: redirect("//127.0.0.1:9/a")}, "redirect to another port", "must not be"),
    pull_with({PROJECT: redirect("file:///etc/passwd")}, "redirect to a file", "must not be sent"),
    pull_with({PROJECT: redirect(PROJECT)}, "redirect to itself", "redirects in a circle"),
    pull_with(
        {PROJECT: redirect("/login/"), "/login/": page()}, "redirect to a page", "a page of HTML"
    ),
]

_SIZES = [
    pull_with({EXPORT: packed(b"no", "gzip")}, "gzip that is none", "can't be decompressed"),
    pull_with({EXPORT: packed(b"no", "br")}, "packing that nobody asked for", "as 'br', which was"),
    pull_with(
        {EXPORT: packed(gzip.compress(gzip.compress(WHOLE)), "gzip, gzip")},
        "packed twice",
        "as 'gzip, gzip', which was",
    ),
    pull_with({EXPORT: packed(gzip.compress(WHOLE), "gzip")}, "gzip", FINE, status=0),
    pull_with(
        {EXPORT: packed(gzip.compress(b" " * 20_000_000, 1), "gzip")},
        "export that unpacks to too much",
        "sent more than 2 MB.*max_answer_megabytes",
        settings="max_answer_megabytes = 2",
    ),
    pull_with(
        {EXPORT: Answer(b"", stream=lambda: pieces(b" " * 65536))},
        "export without end",
        "sent more than 2 MB.*max_answer_megabytes",
        settings="max_answer_megabytes = 2",
    ),
    pull_with(
        {EXPORT: Answer(b"", stream=lambda: pieces(b" ", 1.0))},
        "export that stands still",
        "did not answer in time .exporting project 1.*repeat the command",
        settings="max_answer_seconds = 0.3",
    ),
    pull_with(
        {EXPORT: Answer(b"", stream=lambda: pieces(b" ", 0.05))},
        "export of a byte now and then",
        "did not finish its answer within 0.3 s.*max_answer_seconds",
        settings="max_answer_seconds = 0.3",
    ),
]


_VERSIONS = "/api/projects/1/model-versions/"
_LIVE = {_VERSIONS: json_answer({"a1b2-sparsedet-live": 4, "yolo-live": 3})}


def disconnect_with(answers: Mapping[str, Answer], name: str, says: str, status: int = 1) -> Case:
    """Return the case of a `serve --disconnect` from a server with these answers."""
    usual = {
        "/api/ml/": json_answer([]),
        "/api/webhooks/": json_answer([]),
        _VERSIONS: json_answer({"yolo-live": 3, "1": 2}),
    }

    def prepare(folder: Path, server: OddServer) -> Arguments:
        server.answers.update({**usual, **answers})
        return "serve", "--disconnect", "1"

    return Case(f"serve --disconnect: {name}", prepare, says, status)


_OURS = {"title": "sparsedet live"}
_BACKENDS = [
    disconnect_with({}, "no backend", "0 live backends removed", status=0),
    disconnect_with({"/api/ml/": page()}, "a page", "a page of HTML.*looking for live backends"),
    disconnect_with({"/api/ml/": json_answer({})}, "no list", "should be a list"),
    disconnect_with({"/api/ml/": json_answer([7])}, "a number", "should be an object"),
    disconnect_with({"/api/ml/": json_answer([_OURS])}, "without number", "'id' should be a whole"),
    disconnect_with(
        {"/api/ml/": json_answer([{**_OURS, "id": 3}]), "DELETE /api/ml/3": page()},
        "a deletion answered with a page",
        "a page of HTML.*removing the live backend",
    ),
    disconnect_with(
        {"/api/ml/": json_answer([{**_OURS, "id": 3}]), "DELETE /api/ml/3": json_answer({})},
        "a deletion answered with an object",
        "answered a deletion, which has no answer, with an object",
    ),
    disconnect_with(
        {"/api/ml/": json_answer([{**_OURS, "id": 3}]), "DELETE /api/ml/3": redirect("/login/")},
        "a deletion that is redirected",
        "redirects a DELETE to another address",
    ),
    disconnect_with(
        {"/api/ml/": json_answer([{**_OURS, "id": 3}]), "DELETE /api/ml/3": Answer(b"", 204)},
        "a deletion",
        "1 live backend removed",
        status=0,
    ),
    disconnect_with(
        {**_LIVE, f"DELETE {_VERSIONS}": json_answer({"deleted_predictions": 4})},
        "live predictions",
        "0 live backends removed, 4 live predictions deleted",
        status=0,
    ),
    disconnect_with(
        {**_LIVE, f"DELETE {_VERSIONS}": json_answer({})},
        "a deletion of predictions without number",
        "'deleted_predictions' should be a",
    ),
    disconnect_with({_VERSIONS: json_answer([7])}, "a list of versions", "should be an object"),
]

CASES = [
    pull_with({}, "pull of an ordinary server", FINE, status=0),
    *_EXPORTS,
    *_TASKS,
    *_REGIONS,
    *_PROJECTS,
    *_REDIRECTS,
    *_SIZES,
    *_BACKENDS,
]

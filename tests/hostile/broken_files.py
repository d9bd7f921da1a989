"""Broken, foreign, huge and missing files, in every location that files are read from."""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sparsedet.annotations import read_coco
from sparsedet.loop.workspace import Workspace
from tests.reporting.workspaces import CATEGORIES, add_round, make_workspace, mined_boxes, review

from .case import Arguments, Case
from .odd_server import OddServer

STATUS: Arguments = ("status", "work")
PUSHED = {"url": "here", "boxes": 1, "images": 1, "model_version": "v1"}
SETTINGS = '[source]\ntool = "files"\nurl = ""\nproject = "p"\n'
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
DIGITS = b"9" * 5000
DEEP = b"[" * 100_000
COCO: dict[str, object] = {
    "images": [],
    "annotations": [],
    "categories": [{"id": 1, "name": "cat"}],
}
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
"""304 bytes or so, and 387 million values."""

Change = Callable[[Workspace], object]


def workspace_with(name: str, change: Change, says: str, status: int = 1) -> Case:
    """Return the case of a workspace with one round that something happened to."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        workspace = make_workspace(folder / "work", images=1)
        dataset, mined = read_coco(workspace.annotations), mined_boxes(1, 1, 2)
        add_round(workspace, 1, dataset, mined, [review(1, mined)], ap50=50.0)
        workspace.settings_file.write_text(SETTINGS)
        workspace.round(1).push.write_text(json.dumps(PUSHED))
        change(workspace)
        return STATUS

    return Case(name, prepare, says, status)


def in_round(name: str, data: bytes | object) -> Change:
    """Put something else in the place of a file of the round."""
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    return lambda workspace: (workspace.round(1).root / name).write_bytes(content)


def on_top(name: str, data: bytes) -> Change:
    """Put something else in the place of a file of the workspace."""
    return lambda workspace: (workspace.root / name).write_bytes(data)


def in_ledger(statement: str) -> Change:
    """Change the ledger behind sparsedet's back."""

    def change(workspace: Workspace) -> None:
        with closing(sqlite3.connect(workspace.ledger)) as connection:
            connection.execute(statement)
            connection.commit()

    return change


def no_file(make: Callable[[Path], object]) -> Change:
    """Put what is no file in the place of `push.json`."""

    def change(workspace: Workspace) -> None:
        workspace.round(1).push.unlink()
        make(workspace.round(1).push)

    return change


def file_of(
    command: Arguments, name: str, data: bytes | str, says: str, what: str, status: int = 1
) -> Case:
    """Return the case of a command that is given a file."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        return command

    return Case(what, prepare, says, status)


def recipe(what: str, text: bytes | str, says: str) -> Case:
    """Return the case of a recipe of one's own."""
    return file_of(("recipes", "ours.yaml"), "ours.yaml", text, says, f"recipe: {what}")


def coco(what: str, data: bytes | object, says: str, status: int = 1) -> Case:
    """Return the case of a COCO file."""
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    command = ("convert", "data.json", "out", "--to", "yolo", "--no-images", "--images", ".")
    return file_of(command, "data.json", content, says, f"COCO: {what}", status)


def settings(what: str, data: bytes, says: str) -> Case:
    """Return the case of a `sparsedet.toml`."""
    return workspace_with(f"settings: {what}", on_top("sparsedet.toml", data), says)


def _image(**values: object) -> dict[str, object]:
    return COCO | {"images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9} | values]}


def _box(bbox: object) -> dict[str, object]:
    entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": bbox}
    return _image() | {"annotations": [entry]}


ROUNDS = [
    workspace_with("a round that is whole", lambda workspace: None, CATEGORIES[0].name, 0),
    workspace_with("push.json: {}", in_round("push.json", {}), "no record of what was pushed"),
    workspace_with("push.json: a list", in_round("push.json", [1]), "not a JSON object"),
    workspace_with("push.json: empty", in_round("push.json", b""), "not valid JSON at line 1"),
    workspace_with("push.json: a picture", in_round("push.json", PNG), "push.json: not UTF-8"),
    workspace_with("push.json: half", in_round("push.json", b'{"url": "he'), "complete"),
    workspace_with("push.json: UTF-16", in_round("push.json", "{}".encode("utf-16")), "UTF-16"),
    workspace_with("push.json: deep", in_round("push.json", DEEP), "nested too deeply"),
    workspace_with("push.json: digits", in_round("push.json", DIGITS), "thousands of digits"),
    workspace_with(
        "push.json: text for a number",
        in_round("push.json", PUSHED | {"boxes": "many"}),
        "boxes is 'many', expected a whole number; remove it, and run `sparsedet round`",
    ),
    workspace_with(
        "push.json: odd marks", in_round("push.json", PUSHED | {"suspicions": [{}]}), "suspicions"
    ),
    workspace_with(
        "push.json: long text",
        in_round("push.json", PUSHED | {"images": "x" * 1_000_000}),
        r"images is 'x+\.\.\..*expected a whole number",
    ),
    workspace_with("a folder for a file", no_file(Path.mkdir), "is a folder, expected a JSON"),
    workspace_with("a pipe for a file", no_file(os.mkfifo), "is a pipe, expected a JSON file"),
    workspace_with(
        "a device for a file", no_file(lambda path: path.symlink_to("/dev/zero")), "is a device"
    ),
    workspace_with(
        "endless zeros for a file",
        no_file(lambda path: os.close(_sparse(path, 1 << 40))),
        "1,048,576 MiB is too large for a JSON file",
    ),
    workspace_with(
        "estimate.json: a list of classes",
        in_round("estimate.json", {"text": "", "share": 1, "low": 1, "high": 1, "by_class": []}),
        r"by_class is \[\], expected an object; remove it",
    ),
    workspace_with(
        "estimate.json: NaN",
        in_round("estimate.json", b'{"text": "", "share": NaN, "low": 1, "high": 1}'),
        "share is nan, expected a number",
    ),
    workspace_with(
        "evaluation.json: 1e400", in_round("evaluation.json", b'{"AP50": 1e400}'), "AP50 is inf"
    ),
    workspace_with("lots.json: no lots", in_round("lots.json", {}), "lots is missing"),
    workspace_with(
        "lots.json: another shape", in_round("lots.json", {"lots": [[]]}), "expected an object"
    ),
    workspace_with(
        "annotations.json: no list", in_round("annotations.json", {}), "not a list of annotations"
    ),
    workspace_with(
        "ledger.read.json: no time", on_top("ledger.read.json", b'{"at": 5}'), "remove it"
    ),
]


def _sparse(path: Path, size: int) -> int:
    number = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.truncate(path, size)
    return number


LEDGERS = [
    workspace_with("ledger: a picture", on_top("ledger.sqlite", PNG * 200), "not a ledger"),
    workspace_with(
        "ledger: of later", in_ledger("PRAGMA user_version = 99"), "its schema is 99, this one"
    ),
    workspace_with("ledger: without a table", in_ledger("DROP TABLE boxes"), "another database"),
    workspace_with(
        "ledger: a broken review", in_ledger("UPDATE reviews SET content = '[]'"), "invalid review"
    ),
    workspace_with(
        "ledger: an outcome that is none",
        in_ledger("UPDATE boxes SET outcome = 'acdepted' WHERE rowid = 1"),
        "invalid outcome 'acdepted' in the ledger: `sparsedet check --fix`",
    ),
    workspace_with(
        "ledger: a deep review",
        in_ledger(f"UPDATE reviews SET content = '{'[' * 100_000}'"),
        "invalid review",
    ),
]

SETTINGS_FILES = [
    settings("empty", b"", "the setting source is missing"),
    settings("a picture", PNG, "not UTF-8 text"),
    settings("UTF-16", SETTINGS.encode("utf-16"), "UTF-16"),
    settings("half", SETTINGS.encode() + b'[review]\nmode = "', "not valid TOML"),
    settings("a key twice", SETTINGS.encode() + b'tool = "files"\n', "not valid TOML"),
    settings("deep", b"a = " + DEEP, "nested too deeply"),
    settings("an odd key", SETTINGS.encode() + b'["a\\u001b[2J"]\n', r"unknown setting a\\x1b\[2J"),
    settings("digits", b"a = " + DIGITS, "thousands of digits"),
    settings("2 MiB", b"#" * (2 << 20), "too large for a TOML file"),
]

RECIPES = [
    recipe("aliases", BOMB, "expands to more than 100,000 values"),
    recipe("an alias within itself", "a: &a [*a]", "an alias within itself"),
    recipe("deep", b"a: " + DEEP, "nested too deeply"),
    recipe("digits", b"rule: " + DIGITS, "not valid YAML"),
    recipe("a key twice", "rule: a\nrule: b\n", "duplicate key rule at line 2"),
    recipe("code", "rule: !!python/object/apply:os.system [id]", "constructor for the tag"),
    recipe("a tag that doesn't fit", "rule: !!timestamp x", "not valid YAML"),
    recipe("a list", "- a", "expected a mapping"),
    recipe("empty", "", "expected a mapping"),
    recipe("long keys", f"{'k' * 5000}: 1\n? [a]\n: 2\n", "not valid YAML|unknown key"),
]

COCO_FILES = [
    coco("an id of 5,000 digits", b'{"images": [{"id": ' + DIGITS + b"}]}", "thousands of digits"),
    coco("an id of 4,000 digits", _image(id=int("9" * 4000)), "1 image,", 0),
    coco("an id that is NaN", _image(id=float("nan")), "non-integer ids.*renumbered", 0),
    coco("a width of 1e400", b'{"images": [{"id": 1, "width": 1e400}], "annotations": [], '
         b'"categories": []}', "file_name None"),
    coco("a box that is infinite", _box([0, 0, 1, float("inf")]), "is not .x, y, width, height"),
    coco("a box of a million numbers", _box([0] * 1_000_000), "is not .x, y, width, height"),
    coco("entries that are no objects", COCO | {"images": [None]}, "None is not an object"),
    coco("categories that are an object", COCO | {"categories": {}}, "categories is not a list"),
]  # fmt: skip

CASES = [*ROUNDS, *LEDGERS, *SETTINGS_FILES, *RECIPES, *COCO_FILES]

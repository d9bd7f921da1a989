"""Names and texts from any source that would control a terminal: shown escaped."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sparsedet.annotations import Category, read_coco
from tests.reporting.workspaces import add_round, make_workspace, mined_boxes, review

from .case import Arguments, Case
from .odd_server import CONFIG, OddServer, json_answer, task

CLEAR = "\x1b[2J"
SHOWN = r"\\x1b\[2J"
PROJECT = "/api/projects/1"
EXPORT = "/api/projects/1/export"
INIT: Arguments = ("init", "work", "--project", "1")
PULL: Arguments = ("pull", "--project", "1", "-o", "work")
RECIPE = """rule: drop-fraction
parameters: {drop: 0.5, per: class, order: random}
"""


def typed(name: str, arguments: Arguments, says: str, status: int = 1) -> Case:
    """Return the case of an odd command line."""
    return Case(name, lambda folder, server: arguments, says, status)


def status_of(
    name: str, says: str, *, label: str = "cat", reviewer: str = "ann", options: Arguments = ()
) -> Case:
    """Return the case of `status` where a label or a reviewer has an odd name."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        workspace = make_workspace(folder / "work", images=1)
        dataset = read_coco(workspace.annotations)
        named = replace(dataset, categories=(Category(1, label), Category(2, "dog")))
        mined = mined_boxes(1, 1, 2)
        add_round(workspace, 1, named, mined, [review(1, mined, reviewer=reviewer)])
        return "status", "work", *options

    return Case(name, prepare, says, status=0)


def served(name: str, arguments: Arguments, says: str, status: int = 1, **project: object) -> Case:
    """Return the case of a project with odd texts."""
    known = {"id": 1, "title": "fruit", "label_config": CONFIG, "description": ""}

    def prepare(folder: Path, server: OddServer) -> Arguments:
        server.answers[PROJECT] = json_answer(known | project)
        server.answers[EXPORT] = json_answer([task(1)])
        return arguments

    return Case(name, prepare, says, status)


def refused(name: str, answer: Mapping[str, object], says: str) -> Case:
    """Return the case of a server that refuses with an odd text."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        server.answers[EXPORT] = json_answer(answer, 403)
        return PULL

    return Case(name, prepare, says)


def file_of(name: str, file: str, text: str, arguments: Arguments, says: str, status: int) -> Case:
    """Return the case of a file with odd texts in it, or an odd name."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        (folder / file).write_text(text)
        return arguments

    return Case(name, prepare, says, status)


def coco_of(name: str, says: str, **image: object) -> Case:
    """Return the case of an image entry with odd texts."""
    entry = {"id": 1, "file_name": "a.png", "width": 9, "height": 9} | image
    content = {"images": [entry, entry | {"id": 2}], "annotations": [], "categories": []}
    convert = ("convert", "a.json", "out", "--to", "voc", "--no-images", "--images", ".")
    return file_of(name, "a.json", json.dumps(content), convert, says, 1)


LABELS = {
    "a sequence that clears": (CLEAR, SHOWN),
    "a sequence that writes to the clipboard": ("\x1b]52;c;aWQ=\x07", r"\\x1b\]52;c;aWQ=\\x07"),
    "a sequence of one character": ("\x9b31m", r"\\x9b31m"),
    "letters turned around": ("\u202etac", r"\\u202etac"),
    "letters that can't be seen": ("\U000e0041t", r"\\U000e0041t"),
    "backspaces": ("cat\b\b\bdog", r"cat\\x08\\x08\\x08dog"),
    "a carriage return": ("cat\rdog", r"cat dog"),
    "a line of its own": ("cat\nerror: all is lost", r"cat error: all is lost"),
    "markup": ("[red]cat[/red] :cat:", r"\[red\]cat\[/red\] :cat:"),
}

CASES = [
    *(
        status_of(f"label: {name}", says, label=label)
        for name, (label, says) in LABELS.items()
    ),
    status_of("label in JSON", r"\\u001b\[2J\\u007f", label=f"{CLEAR}\x7f", options=["--json"]),
    status_of("label in JSON of C1", r"\\u009b\\u202e", label="\x9b\u202e", options=["--json"]),
    status_of("reviewer", rf"ann{SHOWN}@", reviewer=f"ann{CLEAR}@example.com"),
    typed("folder", ("status", f"work{CLEAR}"), rf"work{SHOWN}"),
    typed("folder that is no UTF-8", ("status", "work\udcff"), r"work\\xff"),
    typed("option that there is not", ("status", f"--bad{CLEAR}"), rf"--bad{SHOWN}", 2),
    typed("command that there is not", (f"stat{CLEAR}",), rf"stat{SHOWN}", 2),
    typed("folder of a long name", ("status", "w" * 5000), "w{100}"),
    typed("recipe that is none", ("recipes", f"random{CLEAR}"), rf"random{SHOWN}"),
    served("title", INIT, rf"\(fruit{SHOWN}\)", status=0, title=f"fruit{CLEAR}"),
    served(
        "label of a project", INIT, r"labels o\\x9brange", status=0,
        label_config=CONFIG.replace("orange", "o&#x9b;range"),
    ),
    refused("error of a server", {"detail": f"no{CLEAR}"}, rf"no{SHOWN}"),
    refused("error of a server, turned around", {"detail": "no\u202e"}, r"no\\u202e"),
    coco_of("file name of an image", rf"a{SHOWN}\.png", file_name=f"a{CLEAR}.png"),
    coco_of("file name of half a pair", r"invalid image entries", file_name="a\ud83d.png"),
    file_of(
        "recipe's description", "ours.yaml", f'description: "a\\e[2J"\n{RECIPE}',
        ("recipes", "ours.yaml"), rf"a{SHOWN}", 0,
    ),
    file_of(
        "recipe's rule", "ours.yaml", RECIPE.replace("drop-fraction", '"a\\e[2J"'),
        ("recipes", "ours.yaml"), SHOWN, 1,
    ),
    file_of(
        "file that is broken", f"a{CLEAR}.json", "{", ("convert", f"a{CLEAR}.json", "o", "--to",
        "voc"), rf"a{SHOWN}\.json", 1,
    ),
]  # fmt: skip

"""Labelling configs that are broken, malicious, or unsupported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .case import Arguments, Case
from .odd_server import Answer, OddServer, json_answer, task

PULL: Arguments = ("pull", "--project", "1", "-o", "workspace")
IMAGE = '<Image name="image" value="$image"/>'
LABELS = '<Label value="orange"/><Label value="apple"/>'
BOXES = f'<RectangleLabels name="label" toName="image">{LABELS}</RectangleLabels>'
ORDINARY = f"<View>{IMAGE}{BOXES}</View>"
ENTITIES = "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">'
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMB = (
    f'<!DOCTYPE v [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]><View>{IMAGE}{BOXES}'
    "<Header value='&i;'/></View>"
)
OUTSIDE = f'<!DOCTYPE v [<!ENTITY f SYSTEM "file:///etc/passwd">]><View>&f;{IMAGE}{BOXES}</View>'


def config(
    name: str,
    xml: object,
    says: str,
    *options: str,
    status: int = 1,
    tasks: list[dict[str, Any]] | None = None,
    answers: Mapping[str, Answer] | None = None,
    settings: str = "",
) -> Case:
    """Return the case of a `pull` of a project with this labelling config.

    Args:
        name: of the case, after "config: ".
        xml: the labelling config.
        says: what the output must hold.
        options: of the command, further ones.
        status: the exit status.
        tasks: the project's; None: two, with an orange each.
        answers: of the server, further ones.
        settings: what `[source]` of the workspace's sparsedet.toml holds besides.
    """

    def prepare(folder: Path, server: OddServer) -> Arguments:
        project = {"id": 1, "title": "fruit", "label_config": xml, "description": ""}
        server.answers["/api/projects/1"] = json_answer(project)
        export = [task(1), task(2)] if tasks is None else tasks
        server.answers["/api/projects/1/export"] = json_answer(export)
        listing = [{"id": one["id"], "data": one["data"]} for one in export]
        server.answers["/api/tasks/"] = json_answer({"total": len(listing), "tasks": listing})
        server.answers.update(answers or {})
        if settings:
            source = f'tool = "label-studio"\nurl = "{server.url}"\nproject = 1\n{settings}'
            (folder / "workspace").mkdir()
            (folder / "workspace/sparsedet.toml").write_text(f"[source]\n{source}\n")
        return (*PULL, *options)

    return Case(f"config: {name}", prepare, says, status)


def with_data(**data: Any) -> dict[str, Any]:
    """Return a task with this data."""
    return {**task(1), "data": data}


SEVERAL = f'<View><Image name="image" valueList="$pages"/>{BOXES}</View>'
TWO_CONTROLS = ORDINARY.replace("</View>", BOXES.replace('"label"', '"more"') + "</View>")
DYNAMIC = f'<View>{IMAGE}<RectangleLabels name="label" toName="image" value="$kinds"/></View>'
DEEP = "<View>" * 20_000 + IMAGE + BOXES + "</View>" * 20_000

CASES = [
    config("none", "", "it has no labelling config yet"),
    config("null", None, "it has no labelling config yet"),
    config("no XML", "{'View': 1}", "its labelling config is not XML"),
    config("cut off", ORDINARY[:60], "its labelling config is not XML"),
    config("entities that grow a million-fold", BOMB, "declares a document type"),
    config("an entity from a file", OUTSIDE, "declares a document type"),
    config("nested 20,000 deep", DEEP, "nests tags more than 100 levels deep"),
    config("control characters", ORDINARY.replace("apple", "\x1b[31m"), "is not XML"),
    config("NUL", ORDINARY.replace("apple", "\0"), "is not XML"),
    config(
        "a label of a million letters, twice",
        ORDINARY.replace("apple", "x" * 10**6).replace("orange", "x" * 10**6),
        "uses the label 'x{60}...' twice",
    ),
    config(
        "3,000 labels",
        ORDINARY.replace(LABELS, LABELS + "".join(f'<Label value="{n}"/>' for n in range(3000))),
        "2 boxes on 2 images",
        status=0,
    ),
    config("no object at all", f"<View>{BOXES}</View>", "'image', which is not an Image"),
    config(
        "1,000 controls",
        f"<View>{IMAGE}{''.join(BOXES.replace('label', f'l{n}') for n in range(1000))}</View>",
        r"several controls .* and 988 more\); name one: \[source\] control",
    ),
    config("two controls", TWO_CONTROLS, r"found: label, more\); name one: \[source\] control"),
    config("one of two", TWO_CONTROLS, "2 boxes", "--control", "label", status=0),
    config("none of two", TWO_CONTROLS, r"named 'x' \(found: label, more\)", "--control", "x"),
    config(
        "namespace and upper case",
        ORDINARY.replace("<View>", '<VIEW xmlns="urn:x">').replace("</View>", "</VIEW>"),
        "2 boxes on 2 images",
        status=0,
    ),
    config(
        "one picture for all",
        ORDINARY.replace("$image", "http://host/a.png"),
        "shows the same image in every task",
    ),
    config(
        "polygons alone",
        f'<View>{IMAGE}<PolygonLabels name="p" toName="image">{LABELS}</PolygonLabels></View>',
        'it has PolygonLabels: add a RectangleLabels control .* shapes = "boxes"',
    ),
    config("text to label", "<View><Text name='t' value='$t'/></View>", "needs a RectangleLabels"),
    config(
        "a key within a key",
        ORDINARY.replace("$image", "$a.b[0]"),
        "1 box on 1 image",
        status=0,
        tasks=[with_data(a={"b": ["/images/1.png"]})],
    ),
    config("no list of images", SEVERAL, "no image under 'pages.0.'", tasks=[with_data(pages=7)]),
    config("a list of odd things", SEVERAL, "'pages", tasks=[with_data(pages=[None, {}, 3])]),
    config("Repeater of nothing", f"<View><Repeater>{IMAGE}</Repeater>{BOXES}</View>", "Repeater"),
    config("labels of tasks, none", DYNAMIC, r"from task data \(kinds\), but no task has"),
    config(
        "labels of tasks, odd",
        DYNAMIC,
        "1 box on 1 image",
        status=0,
        tasks=[with_data(image="/images/1.png", kinds=[None, 1, [], {"value": {}}, "orange"])],
    ),
    config("only a label that is none", ORDINARY, "unknown label 'kiwi'", "--only", "kiwi"),
    config("only one label", ORDINARY, r"0 boxes on 2 images", "--only", "apple", status=0),
    config(
        "no such shapes", ORDINARY, "--shapes stars: expected skip or boxes", "--shapes", "stars"
    ),
    config("shapes of a file", ORDINARY, "source.shapes", settings='shapes = "stars"'),
    config("a view below 0", ORDINARY, "source.view", settings="view = -1"),
    config(
        "a view of another project",
        ORDINARY,
        r"project 1 has no view 9 \(found 3: To do\)",
        "--view",
        "9",
        answers={
            "/api/dm/views/": json_answer([{"id": 3, "project": 1, "data": {"title": "To do"}}])
        },
    ),
    config(
        "an annotator who has no account",
        ORDINARY,
        r"annotators lists 'eve@example.com', which is not an account .* \(accounts: a@example",
        "--annotator",
        "eve@example.com",
        answers={"/api/users": json_answer([{"id": 1, "email": "a@example.com"}])},
    ),
]

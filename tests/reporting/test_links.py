"""Links of a report's pictures."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sparsedet.annotations import read_coco
from sparsedet.ledger import Ledger, LedgerBox
from sparsedet.loop.last_reading import ReadPlace, name_of, write_reading
from sparsedet.loop.settings import Settings, Source
from sparsedet.loop.workspace import Workspace
from sparsedet.reporting.links import TaskLinks, web_address
from tests.reporting.workspaces import add_round, make_workspace, mined_boxes

SERVER = "http://localhost:8080"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A round on Label Studio with a mined box on each of two images."""
    workspace = make_workspace(tmp_path)
    source = Source(tool="label-studio", url=SERVER, project="7")
    workspace.write_settings(Settings(source=source))
    mined = [*mined_boxes(1, 1, 1), *mined_boxes(1, 2, 1)]
    add_round(workspace, 1, read_coco(workspace.annotations), mined, server=SERVER)
    return workspace


def boxes(workspace: Workspace) -> list[LedgerBox]:
    with closing(Ledger(workspace.ledger)) as ledger:
        return list(ledger.boxes())


def remember(workspace: Workspace, tasks: dict[str, str]) -> None:
    """Leave what reading the reviews does."""
    with closing(Ledger(workspace.ledger)) as ledger:
        (place,) = ledger.places()
    write_reading(workspace.ledger, [ReadPlace(name_of(place), "", tasks)], datetime.now(UTC))


def test_boxes_lead_to_where_they_are_reviewed_or_annotated(workspace: Workspace) -> None:
    remember(workspace, {"t1": "31"})
    links = TaskLinks.of_workspace(workspace)

    found = [links.of_box(box) for box in boxes(workspace)]

    assert found == [f"{SERVER}/projects/8/data?task=31", f"{SERVER}/projects/7/data?task=t2"]
    assert links.of_image("t3") == f"{SERVER}/projects/7/data?task=t3"
    assert links.of_image(None) == ""


def test_a_deleted_review_project_leads_nowhere(workspace: Workspace) -> None:
    remember(workspace, {"t1": "31"})
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.mark_gone(ledger.places()[0])

    first, _ = boxes(workspace)

    assert TaskLinks.of_workspace(workspace).of_box(first) == f"{SERVER}/projects/7/data?task=t1"


def test_links_follow_a_server_that_has_moved(workspace: Workspace) -> None:
    remember(workspace, {"t1": "31"})
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.relocate("label-studio", "7", "https://labels.example.com/ls")

    links = TaskLinks.of_workspace(workspace)

    moved = "https://labels.example.com/ls/projects"
    assert links.of_image("t3") == f"{moved}/7/data?task=t3"
    assert links.of_box(boxes(workspace)[0]) == f"{moved}/8/data?task=31"


@pytest.mark.parametrize("tool", ["files", "uninstalled"])
def test_tools_without_addresses_have_no_links(tool: str, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    workspace.write_settings(Settings(source=Source(tool=tool, url="/data", project="p")))

    assert TaskLinks.of_workspace(workspace).of_image("t1") == ""


def test_ids_can_not_leave_their_place_in_an_address(workspace: Workspace) -> None:
    address = TaskLinks.of_workspace(workspace).of_image('1"><b>&x=../?')

    # What follows a dot says which image of a task it is.
    assert address == f"{SERVER}/projects/7/data?task=1%22%3E%3Cb%3E%26x%3D"
    slashes = TaskLinks.of_workspace(workspace).of_image("1/?#&x=")
    assert slashes == f"{SERVER}/projects/7/data?task=1%2F%3F%23%26x%3D"


@pytest.mark.parametrize(
    "address",
    [
        *("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "/data/a.png", ""),
        *("http://", "//host/x", "http://ann:secret@host/x", "http://[half/x"),
    ],
)
def test_only_plain_web_addresses_are_links(address: str) -> None:
    assert web_address(address) == ""
    assert web_address("https://host/x?a=1") == "https://host/x?a=1"

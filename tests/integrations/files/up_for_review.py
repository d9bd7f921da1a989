"""A small project with boxes up for review, for tests of pushes and withdrawals."""

from pathlib import Path

from sparsedet.annotations import read_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.files import FilesTool
from sparsedet.push_modes import PushMode
from sparsedet.tool import ToolOptions
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.memory import review_mode

DAY, NIGHT = "day/a.png", "night/b.png"
ALL = frozenset({"good", "wrong", "near"})
NEWER = [
    MinedBox("new-day", 4, 1, (41, 11, 60, 30), 0.8, 0.5),
    MinedBox("new-night", 9, 2, (2, 60, 20, 78), 0.7, 0.5),
]


def up(pulled: Pulled, name: str = "run-1") -> dict[str, set[str]]:
    """Return the mined boxes that are up, by image."""
    shown = read_coco(pulled.version(name) / "to_review.json")
    return {
        image.file_name: {
            box.tool_id or "" for box in shown.boxes_by_image[image.id] if box.origin == "mined"
        }
        for image in shown.images
    }


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def owned(pulled: Pulled, owner: str) -> PushMode:
    """Return the push mode on behalf of a workspace."""
    return review_mode(FilesTool(pulled.tool.url, ToolOptions(owner=owner)))

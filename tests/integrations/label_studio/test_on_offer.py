"""What a place shows of a workspace, without a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.drafts.draft_on_offer import drafts_on_offer
from sparsedet.integrations.label_studio.drafts.draft_tasks import signed
from sparsedet.integrations.label_studio.marks import Mark, draft_mark
from sparsedet.integrations.label_studio.review_project.review_on_offer import review_on_offer

REVIEW, TASK = 4, 7


def region(id: str) -> dict[str, Any]:
    value = {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["cat"]}
    return {"id": id, "from_name": "label", "type": "rectanglelabels", "score": 0.5, "value": value}


@dataclass
class Server:
    """A server with one task that a workspace has put up, with a box `m`."""

    workspace: str

    def get_json(self, path: str, params: Mapping[str, Any], what: str) -> Any:
        if path == f"api/projects/{REVIEW}/":
            mark = Mark(3, "label", self.workspace)
            return {"id": REVIEW, "description": str(mark), "label_config": "<View/>"}
        if path == "api/tasks/":
            items = params["query"]
            data = {"image": "x", "sparsedet_source_task": "12"}
            found = [] if "draft_exists" in items else [{"id": TASK, "data": data}]
            return {"tasks": found, "total": len(found)}
        if path == "api/projects/":
            return {"results": [], "count": 0}
        result = signed([], [region("m")], draft_mark("label", self.workspace))
        if path.endswith("/export"):
            draft = {"id": 5, "user": "ann@example.com", "annotation": 6, "result": result}
            saved = {"id": 6, "result": []}
            both = {"annotations": [saved], "drafts": [draft]}
            return [{"id": TASK, "data": {}, **both}] if params["download_all_tasks"] else []
        return [{"id": 9, "task": TASK, "model_version": "v1", "result": result}]

    get_object = get_json

    def get_entries(self, path: str, params: Any, what: str, keep: Any) -> list[Any]:
        return [keep(entry) for entry in self.get_json(path, params, what)]


def test_boxes_of_a_workspace_that_took_over_are_not_ours() -> None:
    for workspace, owner, ids in (
        ("ours", "ours", {"m"}),
        ("ours", None, {"m"}),
        ("theirs", "ours", set()),
    ):
        server = cast(Connection, Server(workspace))
        assert review_on_offer(server, REVIEW, owner).boxes.keys() == ids
        offer = drafts_on_offer(server, 3, [], "newest", owner)
        assert offer.boxes.keys() == ids

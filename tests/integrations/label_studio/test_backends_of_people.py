"""A project's own ML backend, which Label Studio asks for predictions when it lists tasks."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.tool import Choice, ToolOptions
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.review_project.review_helpers import push
from tests.integrations.label_studio.samples import rectangle

pytestmark = pytest.mark.label_studio


@dataclass
class Backend:
    """A backend that finds an orange on every image."""

    url: str
    asked: list[str] = field(default_factory=list)
    """Paths of the requests for predictions."""


@pytest.fixture
def backend() -> Iterator[Backend]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer({"status": "UP", "model_version": "theirs"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/predict":
                self.answer({"model_version": "theirs"})
                return
            known.asked.append(self.path)
            found = {"result": [rectangle("orange")], "score": 0.5, "model_version": "theirs"}
            self.answer({"results": [found] * len(json.loads(body)["tasks"])})

        def answer(self, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known = Backend(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield known
        server.shutdown()


def test_it_is_not_asked_by_reading_the_project(
    label_studio: LocalServer,
    tool: LabelStudioTool,
    half_annotated: Pulled,
    backend: Backend,
    tmp_path: Path,
) -> None:
    api, project = tool.connection, int(half_annotated.project)
    api.post_json("api/ml/", {"url": backend.url, "project": project, "title": "theirs"}, "it")
    changes = {"model_version": "theirs", "evaluate_predictions_automatically": True}
    api.patch_json(f"api/projects/{project}/", changes, "it")
    view = api.post_json("api/dm/views/", {"project": project, "data": {"title": "part"}}, "it")
    options = ToolOptions(choice=replace(Choice(), view=int(view["id"])))
    part = LabelStudioTool(label_studio.url, options, api_key=label_studio.api_key)
    assert len(part.pull(str(project), tmp_path / "images").images) == 2
    push(tool, half_annotated)
    for mode in tool.push_modes.values():
        mode.review_state(str(project))
    assert backend.asked == []
    # Listing tasks in another way does ask it.
    api.get_object("api/tasks/", {"project": project}, "it")
    assert backend.asked == ["/predict"]

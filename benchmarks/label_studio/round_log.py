"""What a round spends on itself: all but training, mining and waiting for the server."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sparsedet.integrations.label_studio.label_studio_tool import LabelStudioTool
from sparsedet.loop.rounds import Rounds
from sparsedet.loop.settings import Settings, Source, TrainingSettings
from sparsedet.loop.workspace import Workspace as LoopWorkspace

ITERATIONS = 20
"""Of the timed training; a default one has `DEFAULT_ITERATIONS` of the same."""
DEFAULT_ITERATIONS = 800
MODEL_STEPS = ("train", "evaluate", "mine")


@dataclass
class RoundLog:
    """Seconds of a round by step, and those of them that the server took."""

    images: int
    seconds: dict[str, float] = field(default_factory=dict)
    server: dict[str, float] = field(default_factory=dict)

    @property
    def bookkeeping(self) -> float:
        """Seconds of all steps without a model, less those of the server."""
        return sum(
            seconds - self.server.get(step, 0.0)
            for step, seconds in self.seconds.items()
            if step not in MODEL_STEPS
        )

    @property
    def share(self) -> float:
        """Share of the bookkeeping in a round with a training of the default length."""
        training = self.seconds["train"] / ITERATIONS * DEFAULT_ITERATIONS
        server = sum(self.server.values())
        return self.bookkeeping / (self.bookkeeping + training + self.seconds["mine"] + server)


class _Clock:
    """Adds up seconds by step: of the whole, and of requests."""

    def __init__(self, log: RoundLog) -> None:
        self._log = log
        self._step = "prepare"
        self._since = time.monotonic()

    def say(self, line: str) -> None:
        """Take note of a step that begins: `round 1: train`."""
        head, _, step = line.partition(": ")
        if head.startswith("round ") and " " not in step:
            self.next(step)

    def next(self, step: str) -> None:
        """Begin a step."""
        now = time.monotonic()
        self._log.seconds[self._step] = now - self._since
        self._step, self._since = step, now

    def request(self, request: httpx.Request) -> None:
        """Take note of a request that is sent."""
        request.extensions["sent"] = time.monotonic()

    def response(self, response: httpx.Response) -> None:
        """Take note of an answer, when all of it is there."""
        response.read()
        seconds = time.monotonic() - response.request.extensions["sent"]
        self._log.server[self._step] = self._log.server.get(self._step, 0.0) + seconds


def log_round(project: int, root: Path) -> RoundLog:
    """Run a round, with a short training, and return its log.

    Images are downloaded before. The queue has no end, so that everything that was mined is pushed.

    Args:
        project: the annotated project, on the server of the environment.
        root: for the workspace, which is new.
    """
    tool = LabelStudioTool()
    workspace = LoopWorkspace(root)
    root.mkdir(parents=True)
    pulled = tool.pull(str(project), workspace.images)
    source = Source(tool="label-studio", url=tool.url, project=str(project))
    keys: dict[str, Any] = {"SOLVER.MAX_ITER": ITERATIONS, "SOLVER.WARMUP_ITERS": 5}
    training = TrainingSettings(method="plain", device="cpu", keys=keys)
    workspace.write_settings(Settings(source=source, training=training))
    log = RoundLog(len(pulled.images))
    clock = _Clock(log)
    client = tool.connection.client._client_wrapper.httpx_client.httpx_client
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], clock.request],
        "response": [*hooks["response"], clock.response],
    }
    with workspace.lock():
        Rounds(workspace, tool, say=clock.say).advance(push_anyway=True)
    clock.next("done")
    return log

"""A round's own cost: everything except training, mining and the server."""

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
"""Iterations of the timed training; a default one has `DEFAULT_ITERATIONS` of the same."""
DEFAULT_ITERATIONS = 800
MODEL_STEPS = ("train", "evaluate", "mine")


@dataclass
class RoundLog:
    """Seconds of a round by step, and the server's part of them."""

    images: int
    seconds: dict[str, float] = field(default_factory=dict)
    server: dict[str, float] = field(default_factory=dict)

    @property
    def bookkeeping(self) -> float:
        """Seconds of all steps without a model, minus the server's."""
        return sum(
            seconds - self.server.get(step, 0.0)
            for step, seconds in self.seconds.items()
            if step not in MODEL_STEPS
        )

    @property
    def share(self) -> float:
        """Share of bookkeeping in a round with a training of default length."""
        training = self.seconds["train"] / ITERATIONS * DEFAULT_ITERATIONS
        server = sum(self.server.values())
        return self.bookkeeping / (self.bookkeeping + training + self.seconds["mine"] + server)


class _Clock:
    """Adds up seconds by step, in total and for requests."""

    def __init__(self, log: RoundLog) -> None:
        self._log = log
        self._step = "prepare"
        self._since = time.monotonic()

    def say(self, line: str) -> None:
        """Note the start of a step: `round 1: train`."""
        head, _, step = line.partition(": ")
        if head.startswith("round ") and " " not in step:
            self.next(step)

    def next(self, step: str) -> None:
        """Begin a step."""
        now = time.monotonic()
        self._log.seconds[self._step] = now - self._since
        self._step, self._since = step, now

    def request(self, request: httpx.Request) -> None:
        """Note that a request is sent."""
        request.extensions["sent"] = time.monotonic()

    def response(self, response: httpx.Response) -> None:
        """Note that a complete response has arrived."""
        response.read()
        seconds = time.monotonic() - response.request.extensions["sent"]
        self._log.server[self._step] = self._log.server.get(self._step, 0.0) + seconds


def log_round(project: int, root: Path) -> RoundLog:
    """Run a round, with a short training, and return its log.

    Images are downloaded before. The queue is unlimited, so that all mined boxes are pushed.

    Args:
        project: the annotated project, on the server configured in the environment.
        root: the new workspace's folder.
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

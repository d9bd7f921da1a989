"""The test bench: a server, the proxy before it, and a small project per fault."""

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from sparsedet.annotations.mined_boxes import write_mined
from sparsedet.errors import SparseDetError
from sparsedet.integrations.label_studio.demo.local_server import LocalServer, start_server

from . import people, server_state
from .cases import OPERATIONS, Fault, Name, Operation
from .client import Command, Finished
from .people import IMAGES, Project, Server
from .proxy import Injection, Proxy, Request
from .server_state import Annotations, Counts, State

SERVER = Path(__file__).parents[2] / ".venv-label-studio/bin/label-studio"
"""Where `make label-studio` installs the server."""

REPEATS = 2
"""How often a user repeats a failing command."""

_TEMPORARY = (".tmp", "-journal", "-wal", "-shm")
_KILL_WITHIN_SECONDS = 0.06
"""The server is killed at a random moment within this time after the request."""


@dataclass(frozen=True)
class Result:
    """The outcome of one fault."""

    key: str
    operation: str
    kind: str
    where: str
    """The request that it hit."""
    exits: Sequence[int]
    """Exit status of the faulted command and of its repetitions."""
    counts: Counts
    meanwhile: Counts | None
    """Counts before the last repetition, for requests that were delivered late."""
    complaints: Sequence[str]
    """Errors of more than one line."""
    left_over: Sequence[str]
    """Files in the workspace that a run without faults doesn't leave."""
    seconds: float

    @classmethod
    def not_run(cls, fault: Fault, reason: str) -> "Result":
        """Return the result of a fault whose operation fails without it."""
        return cls(fault.key, fault.operation, fault.kind, "", (), Counts(), None, (reason,), (), 0)

    @property
    def is_good(self) -> bool:
        """Whether nothing is duplicated or lost, and the command succeeded in the end."""
        return bool(self.where) and self.exits[-1] == 0 and self.counts.is_good


@dataclass(frozen=True)
class _Scene:
    """A project and its workspace, ready for an operation."""

    operation: Operation
    project: Project
    workspace: Path
    mined: Path
    before: State | None
    """The server's content before the operation, if the operation undoes something."""

    @property
    def planned(self) -> list[str]:
        """Ids of the mined boxes that the operation affects."""
        if self.before is not None:
            return server_state.mined_up(self.before)
        return [box.region_id for box in self.project.mined()]


@dataclass(frozen=True)
class _Twin:
    """The same operation without a fault."""

    annotations: Annotations
    files: frozenset[str]
    outcomes: Mapping[str, int]
    writes: Sequence[str]


class Bench:
    """Injects faults on a server of its own.

    Args:
        folder: for the server's data and the workspaces.
        seed: of the boxes, and of the moments at which the server is killed.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._twins: dict[Name, _Twin] = {}
        self._scenes = 0
        self._restart = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Bench"]:
        """Run server and proxy during the block."""
        self._files = people.write_images(self._folder / "images", self._seed)
        self._process = self._start()
        self._server = Server(self._process.url, self._process.api_key)
        self._proxy = Proxy(_address(self._process.url))
        try:
            with self._proxy.running():
                yield self
        finally:
            self._process.stop()

    @property
    def writes(self) -> Mapping[Name, Sequence[str]]:
        """The writes of each operation that was run without faults."""
        return {name: twin.writes for name, twin in self._twins.items()}

    def run(self, fault: Fault) -> Result:
        """Inject a fault, repeat the command until it succeeds, and count."""
        operation = OPERATIONS[fault.operation]
        twin = self._twin(operation)
        start = time.monotonic()
        scene = self._set_up(operation)
        runs = [self._faulted(scene, fault)]
        where = self._proxy.hit
        meanwhile = None
        if fault.kind in ("late-during", "late-after"):
            runs.append(self._command(scene).finish())
            self._proxy.deliver_late()
            meanwhile = self._count(scene, runs[-1], twin)
            runs.append(self._command(scene).finish())
        else:
            while len(runs) == 1 or (runs[-1].status and len(runs) <= REPEATS):
                runs.append(self._command(scene).finish())
        counts = self._count(scene, runs[-1], twin)
        for task in scene.project.saved:
            name = rf'\b(task|image)\W{task}\b|"{task}"'
            named = any(re.search(name, run.output + run.errors) for run in runs)
            said = "it is named" if named else "not a word about it"
            counts.notes.append(f"a person saved on task {task}: {said}")
        return Result(
            key=fault.key,
            operation=fault.operation,
            kind=fault.kind,
            where=_anonymous(where) if where else "",
            exits=[run.status for run in runs],
            counts=counts,
            meanwhile=meanwhile,
            complaints=[run.complaint for run in runs if run.complaint]
            + ([] if where else [f"no such request; there were {len(twin.writes)} writes"]),
            left_over=sorted(_half_written(scene.workspace) - twin.files),
            seconds=time.monotonic() - start,
        )

    def _faulted(self, scene: _Scene, fault: Fault) -> Finished:
        """Run the command once, with the fault."""
        self._restart.clear()
        started: list[Command] = []
        acts: Mapping[str, Callable[[Request], None]] = {
            "person-saves": partial(people.save, self._server, scene.project),
            "kill-client": lambda request: started[0].kill(),
            "kill-server": lambda request: self._kill_server(fault),
        }
        injection = Injection(fault.kind, fault.number, fault.of_reads)
        if fault.kind in acts:
            injection = Injection(fault.kind, fault.number, fault.of_reads, acts[fault.kind])
        self._proxy.arm(injection)
        started.append(self._command(scene))
        if fault.kind == "time-out":
            started[0].interrupt_after(self._proxy.reached)
        finished = started[0].finish()
        if self._proxy.hit is not None:
            self._proxy.reached.wait()
        self._proxy.disarm()
        if self._restart.is_set():
            self._process = self._start()
            self._server.connect(self._process.url)
            self._proxy.upstream = _address(self._process.url)
        return finished

    def _twin(self, operation: Operation) -> _Twin:
        """Run an operation without faults, once."""
        if operation.name not in self._twins:
            scene = self._set_up(operation)
            self._proxy.disarm()
            run = self._command(scene).finish()
            if run.status:
                raise SparseDetError(f"{operation.name} fails without any fault: {run.said}")
            twin = _Twin(
                annotations=State.read(self._server, scene.project).annotations(scene.project),
                files=_half_written(scene.workspace),
                outcomes=_outcomes(run),
                writes=[_anonymous(request) for request in self._proxy.disarm()],
            )
            counts = self._count(scene, run, twin)
            if not counts.is_good:
                raise SparseDetError(f"{operation.name} without any fault gives {counts}")
            self._twins[operation.name] = twin
        return self._twins[operation.name]

    def _set_up(self, operation: Operation) -> _Scene:
        """Create a project and a workspace, and run what precedes the operation."""
        self._scenes += 1
        root = self._folder / f"{self._scenes:03d}-{operation.name}"
        title = f"{root.name}"
        project = people.make_project(self._server, title, self._files, self._seed)
        scene = _Scene(operation, project, root / "workspace", root / "mined.json", None)
        root.mkdir()
        self._succeed(root, "pull", "--project", str(project.number), "-o", str(scene.workspace))
        if operation.drafts:
            settings = scene.workspace / "sparsedet.toml"
            text = settings.read_text()
            settings.write_text(text.replace('mode = "review-project"', 'mode = "draft"'))
        everything = project.mined()
        if operation.name == "push-again":
            some = project.mined(range(3), per_image=1) + project.mined(range(3, IMAGES - 1))
            write_mined(some, {}, scene.mined)
        else:
            write_mined(everything, {}, scene.mined)
        before = self._prepare(scene) if operation.pushed else None
        write_mined(everything, {}, scene.mined)
        return _Scene(operation, project, scene.workspace, scene.mined, before)

    def _prepare(self, scene: _Scene) -> State | None:
        """Push and review; return the server's state if all of it is to be undone."""
        operation, project = scene.operation, scene.project
        arguments = OPERATIONS["draft" if operation.drafts else "push"].arguments
        self._succeed(scene.mined.parent, *_filled(arguments, scene))
        state = State.read(self._server, project)
        if operation.reviews:
            tasks = {
                project.image_of(task.source or 0): (task.id, task.predictions[0])
                for _, task in state.open_tasks
            }
            people.review(self._server, project, tasks, operation.reviews)
        if not operation.name.startswith("undo"):
            return None
        if operation.drafts:
            people.touch_draft(self._server, state.source_task(project.tasks[1]).drafts[0])
        number = state.reviews[0].number if state.reviews else None
        people.add_things_of_their_own(self._server, project, number)
        return State.read(self._server, project)

    def _count(self, scene: _Scene, run: Finished, twin: _Twin) -> Counts:
        state = State.read(self._server, scene.project)
        if scene.operation.name == "merge":
            counts = server_state.after_merge(state, scene.project, twin.annotations)
            if not run.status and _outcomes(run) != twin.outcomes:
                counts.notes.append(f"outcomes {_outcomes(run)} instead of {twin.outcomes}")
                counts.lost += 1
            return counts
        if scene.before is not None:
            return server_state.after_undo(state, scene.project, scene.before, scene.planned)
        if scene.operation.drafts:
            counts = server_state.after_drafts(state, scene.project, scene.planned)
        else:
            named = run.answer.get("review_project")
            counts = server_state.after_push(state, scene.project, scene.planned, named)
        if not run.status:
            due = counts.due or scene.planned
            server_state.compare_ledger(counts, scene.workspace / "ledger.sqlite", due)
        return counts

    def _command(self, scene: _Scene) -> Command:
        arguments = _filled(scene.operation.arguments, scene)
        return Command(arguments, scene.mined.parent, self._proxy.url, self._process.api_key)

    def _succeed(self, folder: Path, *arguments: str) -> None:
        run = Command(arguments, folder, self._proxy.url, self._process.api_key).finish()
        if run.status:
            raise SparseDetError(f"sparsedet {' '.join(arguments)}: {run.said}")

    def _start(self) -> LocalServer:
        executable = SERVER if SERVER.is_file() else None
        return start_server(self._folder / "label-studio", executable=executable)

    def _kill_server(self, fault: Fault) -> None:
        time.sleep(random.Random(f"{self._seed}/{fault.key}").uniform(0, _KILL_WITHIN_SECONDS))
        os.killpg(self._process.pid, signal.SIGKILL)
        self._restart.set()


def _filled(arguments: Sequence[str], scene: _Scene) -> list[str]:
    names = {"{workspace}": str(scene.workspace), "{mined}": str(scene.mined)}
    return [names.get(argument, argument) for argument in arguments]


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def _anonymous(request: Request) -> str:
    """Return method and path without numbers and query, equal in all projects."""
    return f"{request.method} {re.sub(r'[0-9]+', 'N', urlsplit(request.path).path)}"


def _half_written(folder: Path) -> frozenset[str]:
    """Return leftovers of a killed process: hidden files, and journals."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return frozenset(
        str(path.relative_to(folder))
        for path in paths
        if path.name.startswith(".") or path.name.endswith(_TEMPORARY)
    )


def _outcomes(run: Finished) -> Mapping[str, int]:
    """Return the numbers of mined boxes by outcome, as in `review --json`."""
    return {name: count for name, count in run.answer.items() if isinstance(count, int)}

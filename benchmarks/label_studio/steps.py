"""The measured steps of sparsedet, each in a separate process: time and memory."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.integrations.label_studio.label_studio_tool import LabelStudioTool
from sparsedet.integrations.label_studio.project_pull import pull_project
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.loop.pushing import Pusher, up_for_review
from sparsedet.loop.reviews import Connections
from sparsedet.loop.settings import Settings, Source

MINED_PER_IMAGE = 3
_SCRIPT = Path(__file__).parents[1] / "label_studio.py"
_VERSION = "benchmark"
"""Model version of the pushed boxes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a step."""

    seconds: float
    memory: int
    """Peak bytes beyond what the process held at its start."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Files of the steps."""

    root: Path

    @property
    def images(self) -> Path:
        """The image cache."""
        return self.root / "images"

    @property
    def annotations(self) -> Path:
        """The pulled annotations."""
        return self.root / "annotations.json"

    @property
    def ledger(self) -> Path:
        """The push."""
        return self.root / "ledger.sqlite"


def cost_of(step: str, project: int, workspace: Workspace) -> Cost:
    """Return a step's cost in a separate process, on the server of the environment."""
    words = ["--step", step, "--project", str(project), "--work", str(workspace.root)]
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), *words], stdout=subprocess.PIPE, text=True, check=True
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def run_step(step: str, project: int, workspace: Workspace) -> None:
    """Run a step in this process, and print its cost."""
    tool = LabelStudioTool()
    work = {"pull": _pull, "push": _push}[step](tool, str(project), workspace)
    print(json.dumps(asdict(_measured(work))))


def mined_boxes(dataset: Dataset) -> Iterator[MinedBox]:
    """Yield boxes as a model might mine them, the same ones in every call."""
    classes = [category.id for category in dataset.categories]
    for image in dataset.images:
        draw = random.Random(image.id)
        for number in range(MINED_PER_IMAGE):
            left, top = draw.uniform(0, image.width * 0.7), draw.uniform(0, image.height * 0.7)
            yield MinedBox(
                region_id=f"{image.id}-{number}",
                image_id=image.id,
                category_id=draw.choice(classes),
                xyxy=(left, top, left + image.width * 0.2, top + image.height * 0.2),
                score=round(draw.uniform(0.3, 0.99), 3),
                threshold=0.3,
                expected_precision=round(draw.random(), 3),
            )


def _pull(tool: LabelStudioTool, project: str, workspace: Workspace) -> Callable[[], None]:
    def pull() -> None:
        write_coco(pull_project(tool.connection, project, workspace.images), workspace.annotations)

    return pull


def _push(tool: LabelStudioTool, project: str, workspace: Workspace) -> Callable[[], None]:
    """Return a round's push, from the files that it reads."""

    def push() -> None:
        dataset = read_coco(workspace.annotations)
        settings = Settings(source=Source(tool="label-studio", url=tool.url, project=project))
        connections = Connections(settings, tool, owner=_VERSION)
        with closing(Ledger(workspace.ledger)) as ledger:
            wanted = up_for_review(ledger, dataset, list(mined_boxes(dataset)), _VERSION)
            pusher = Pusher(
                ledger, connections, settings.source, "review-project", workspace.images, print
            )
            queue = [QueueEntry(image.id, boxes=MINED_PER_IMAGE) for image in dataset.images]
            pusher.push(dataset, wanted, model_version=_VERSION, round=1, queue=queue)

    return push


def _measured(work: Callable[[], None]) -> Cost:
    before = _memory("VmRSS")
    # From here on, the peak is that of the work.
    Path("/proc/self/clear_refs").write_text("5")
    start = time.monotonic()
    work()
    return Cost(time.monotonic() - start, _memory("VmHWM") - before)


def _memory(key: str) -> int:
    """Return a figure of this process in bytes, from Linux's counters."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024

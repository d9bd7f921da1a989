"""A project of three images, in files or in Label Studio, and pushes without training."""

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image, read_coco, write_coco
from sparsedet.annotations.mined_boxes import MinedBox, write_mined
from sparsedet.atomic_io import write_json
from sparsedet.integrations.files import FilesTool
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.geometry import to_percent
from sparsedet.ledger import Ledger, LedgerBox, QueueEntry
from sparsedet.loop.feedback import Feedback
from sparsedet.loop.merging import MergedImage, Merging
from sparsedet.loop.pulling import pull_with_reviews
from sparsedet.loop.pushing import Pusher, up_for_review
from sparsedet.loop.reviews import Connections, collect_reviews
from sparsedet.loop.settings import Settings, Source
from sparsedet.loop.workspace import Workspace, owner_id
from sparsedet.push_modes import PushReport
from sparsedet.reviews import ReviewedRegion
from sparsedet.scriptable_tool import OpenReview, ScriptableTool
from tests.cli.command import Result, sparsedet_here

SIZE = 200, 160
HUMAN: XYXY = (10, 10, 40, 40)
MINED: XYXY = (60, 60, 100, 100)
WRONG: XYXY = (120, 20, 150, 50)
FREE: XYXY = (150, 100, 190, 140)
NAMES = ("a.png", "b.png", "c.png")
LABELS = ("cat", "dog")
Places = dict[str, set[tuple[str, XYXY]]]
Change = Callable[[Sequence[ReviewedRegion]], Sequence[ReviewedRegion]]


def as_shown(regions: Sequence[ReviewedRegion]) -> Sequence[ReviewedRegion]:
    """Accept everything."""
    return regions


def picture(number: int) -> NDArray[np.uint8]:
    """Pixels of an image that looks like no other number's."""
    coarse = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC).astype(np.uint8)


@dataclass
class SmallProject:
    """A project in a folder, or on a server, and the workspace `work` in the same folder."""

    folder: Path
    server: LocalServer | None = None
    said: list[str] = field(default_factory=list)
    settings: Settings | None = None
    """Those of the workspace, once they are written."""

    def __post_init__(self) -> None:
        images, boxes = [], []
        for number, name in enumerate(NAMES, start=1):
            path = self.folder / "raw" / name
            path.parent.mkdir(exist_ok=True)
            assert cv2.imwrite(str(path), picture(number))
            images.append(Image(number, name, *SIZE))
            boxes.append(Box(number, number, 1, HUMAN, tool_id=f"own-{name}"))
        categories = tuple(Category(n, label) for n, label in enumerate(LABELS, start=1))
        self.project = self.tool.set_up_project(
            "small", Dataset(tuple(images), tuple(boxes), categories), self.folder / "raw"
        )
        self.workspace.write_settings(Settings(source=self.source))
        write_coco(self.pull().dataset, self.workspace.annotations)

    @property
    def tool(self) -> ScriptableTool:
        """A new connection."""
        tool: ScriptableTool
        if self.server is None:
            tool = FilesTool(str(self.folder))
            return tool
        settings = self.settings or Settings(source=Source(tool="-", url="", project="-"))
        options = settings.tool_options(owner_id(self.workspace.root))
        tool = LabelStudioTool(self.server.url, options, api_key=self.server.api_key)
        return tool

    @property
    def api(self) -> Connection:
        """Label Studio's API, in the name of the same account."""
        assert self.server is not None
        return Connection(self.server.url, self.server.api_key)

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return Workspace(self.folder / "work")

    @property
    def source(self) -> Source:
        """The project."""
        name = "files" if self.server is None else "label-studio"
        return Source(tool=name, url=self.tool.url, project=self.project)

    @property
    def annotations(self) -> Path:
        """The project's annotation file."""
        return self.folder / self.project / "annotations.json"

    @property
    def connections(self) -> Connections:
        """To all places."""
        settings = self.settings or Settings(source=self.source)
        return Connections(settings, self.tool, owner=owner_id(self.workspace.root))

    def id_of(self, name: str) -> str:
        """The tool's id of an image."""
        (found,) = [i for i in self.dataset.images if i.file_name.endswith(name)]
        return found.tool_id or ""

    def name_of(self, file_name: str) -> str:
        """The name of an image before it was uploaded."""
        return next(name for name in NAMES if file_name.endswith(name))

    def pull(self) -> Feedback:
        """Pull, with reviews."""
        _, feedback = pull_with_reviews(
            self.workspace, self.tool, self.source, self.connections, say=self.said.append
        )
        return feedback

    def refresh(self) -> Dataset:
        """Pull, with reviews, into the workspace."""
        dataset = self.pull().dataset
        write_coco(dataset, self.workspace.annotations)
        return dataset

    def mined(self, version: str, *, names: Sequence[str] = NAMES) -> list[MinedBox]:
        """Two boxes on each image: a right one and a wrong one."""
        ids = {self.name_of(image.file_name): image.id for image in self.dataset.images}
        return [
            MinedBox(f"{version}-{kind}-{name}", ids[name], 1, xyxy, score, 0.5)
            for name in names
            for kind, xyxy, score in (("right", MINED, 0.9), ("wrong", WRONG, 0.6))
        ]

    @property
    def dataset(self) -> Dataset:
        """What was pulled last."""
        return read_coco(self.workspace.annotations)

    def push(
        self,
        version: str,
        mined: Sequence[MinedBox] | None = None,
        *,
        round: int | None = None,
        queue: Sequence[QueueEntry] = (),
    ) -> PushReport:
        """Push as a round or `sparsedet push` does."""
        boxes = self.mined(version) if mined is None else mined
        with closing(Ledger(self.workspace.ledger)) as ledger:
            collect_reviews(ledger, self.connections, say=self.said.append)
            pusher = Pusher(
                ledger,
                self.connections,
                self.source,
                "review-project",
                self.workspace.images,
                self.said.append,
            )
            wanted = up_for_review(ledger, self.dataset, boxes, version)
            report, _ = pusher.push(
                self.dataset, wanted, model_version=version, round=round, queue=queue
            )
        return report

    def push_round(self, number: int, version: str) -> None:
        """Push, and leave the files of a round."""
        folder = self.workspace.round(number)
        write_coco(self.dataset, folder.annotations)
        write_mined(self.mined(version), {"run_id": version}, folder.mined)
        report = self.push(version, round=number)
        place = {
            "tool": self.source.tool,
            "url": self.source.url,
            "project": self.project,
            "review_project": report.review_project,
            "mode": "review-project",
        }
        write_json(
            folder.push,
            {
                "model_version": version,
                "review_project": report.review_project,
                "skipped": {},
                "place": place,
            },
        )

    def write_mined(self, version: str) -> Path:
        """Write a `mined.json`."""
        path = self.folder / f"{version}.json"
        write_mined(self.mined(version), {"run_id": version}, path)
        return path

    @property
    def review_project(self) -> str:
        """Where reviews are made now."""
        with closing(Ledger(self.workspace.ledger)) as ledger:
            return ledger.places()[-1].review_project

    def open_reviews(self) -> dict[str, OpenReview]:
        """Name of each image that waits for its review -> what the reviewer is shown."""
        names = {image.tool_id: self.name_of(image.file_name) for image in self.dataset.images}
        found: dict[str, OpenReview] = {}
        for review in self.tool.open_reviews(self.review_project):
            assert names[review.tool_id] not in found, "two open reviews of one image"
            found[names[review.tool_id]] = review
        return found

    def review(self, name: str, change: Change = as_shown, *, complete: bool = False) -> None:
        """Submit the open review of an image."""
        found = self.open_reviews()[name]
        found.submit(change(found.regions), seconds=5.0, complete=complete)

    def collect(self) -> dict[str, LedgerBox]:
        """Read all reviews; return the ledger's boxes."""
        with closing(Ledger(self.workspace.ledger)) as ledger:
            collect_reviews(ledger, self.connections, say=self.said.append)
            return {box.region_id: box for box in ledger.boxes()}

    def outcomes(self) -> dict[str, str]:
        """Region id -> outcome, after reading all reviews."""
        return {id: box.outcome for id, box in self.collect().items()}

    def merge(self, *, write: bool = True, empty: bool = False) -> dict[str, MergedImage]:
        """Merge; return what became of each image."""
        with closing(Ledger(self.workspace.ledger)) as ledger:
            collect_reviews(ledger, self.connections, say=self.said.append)
            merging = Merging(ledger, self.connections, self.workspace)
            return {one.tool_id: one for one in merging.merge(write=write, empty=empty)}

    def source_boxes(self) -> Places:
        """Name of each image -> label and place of each box in the project itself."""
        return boxes_of(self.tool.pull(self.project, self.folder / "cache"))

    def edit_source(self, name: str, xyxy: XYXY) -> None:
        """Move the box that people drew, in the project itself."""
        if self.server is not None:
            (annotation,) = self.annotations_of(name)
            (own,) = [r for r in annotation["result"] if r["id"] == f"own-{name}"]
            own["value"] |= to_percent(xyxy, *SIZE)
            self.save(annotation)
            return
        dataset = read_coco(self.annotations)
        boxes = (
            replace(box, xyxy=xyxy) if box.tool_id == f"own-{name}" else box
            for box in dataset.boxes
        )
        write_coco(dataset.with_boxes(boxes), self.annotations)

    def save_source(self, name: str) -> None:
        """Save the project's annotations of an image without a change."""
        if self.server is None:
            self.annotations.write_text(self.annotations.read_text() + "\n")
        else:
            (annotation,) = self.annotations_of(name)
            self.save(annotation)

    def annotations_of(self, name: str) -> list[dict[str, Any]]:
        """What Label Studio holds of an image."""
        task = self.id_of(name)
        found: list[dict[str, Any]] = self.api.get_json(f"api/tasks/{task}/annotations/", {}, "it")
        return found

    def save(self, annotation: dict[str, Any]) -> None:
        """Save an annotation as the editor does."""
        self.api.patch_json(
            f"api/annotations/{annotation['id']}/",
            {"result": annotation["result"], "lead_time": (annotation["lead_time"] or 0) + 3},
            "it",
        )

    def command(self, *arguments: str | Path) -> Result:
        """Run `sparsedet` on it, in this process."""
        env = (
            {}
            if self.server is None
            else {"LABEL_STUDIO_URL": self.server.url, "LABEL_STUDIO_API_KEY": self.server.api_key}
        )
        with patch.dict(os.environ, env):
            return sparsedet_here(*arguments)


def boxes_of(dataset: Dataset) -> Places:
    """Name of each image -> label and place of each box, in tenths of a pixel."""
    names = {i.id: next(n for n in NAMES if i.file_name.endswith(n)) for i in dataset.images}
    found: Places = {name: set() for name in names.values()}
    for box in dataset.boxes:
        left, top, right, bottom = (round(edge, 1) for edge in box.xyxy)
        label = dataset.category_by_id[box.category_id].name
        found[names[box.image_id]].add((label, (left, top, right, bottom)))
    return found


def without(*words: str) -> Change:
    """Delete boxes whose ids hold one of the words."""
    return lambda regions: [r for r in regions if not any(word in r.region_id for word in words)]


def move(word: str, xyxy: XYXY) -> Change:
    """Move the box whose id holds the word."""
    return lambda regions: [replace(r, xyxy=xyxy) if word in r.region_id else r for r in regions]


def draw(xyxy: XYXY) -> Change:
    """Draw a box."""
    return lambda regions: [*regions, ReviewedRegion("drawn", "dog", xyxy)]

"""A file project whose rounds need no training: model detections are simulated."""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image, read_coco, write_coco
from sparsedet.annotations.mined_boxes import MinedBox, region_id, write_mined
from sparsedet.atomic_io import write_json
from sparsedet.completeness.candidate_file import CandidateFile, write_candidates
from sparsedet.integrations.files import FilesTool
from sparsedet.ledger import Ledger, LedgerBox
from sparsedet.loop.lot_file import RoundLot, read_lots
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.rounds import Rounds
from sparsedet.loop.settings import (
    AcceptSettings,
    ReviewMode,
    ReviewSettings,
    RoundSettings,
    Settings,
    Source,
)
from sparsedet.loop.workspace import Workspace
from sparsedet.mining.candidates import RIGHT, UNKNOWN, Candidates
from sparsedet.run_folder import RunInfo
from sparsedet.scriptable_tool import OpenReview
from sparsedet.simulation import Behaviour, Reviewer, SimulationReport, plan_reviews
from tests.cli.command import Result, sparsedet_here

IMAGES = 40
SIZE = 200, 100
LABELLED = 2
"""Objects of an image that have an annotation ..."""
MISSING = 8
"""... and that have none."""
ACCEPT = AcceptSettings(precision=0.9, confidence=0.9)


def place(column: int, row: int) -> XYXY:
    """A place of its own on an image: objects are in row 0, row 2 is empty."""
    return 20.0 * column + 2, 30.0 * row + 4, 20.0 * column + 18, 30.0 * row + 24


@dataclass
class LotProject:
    """The project, and the workspace `work` next to it.

    Args:
        folder: of both.
        accept: how boxes are accepted by sample.
        budget: of a round.
        mode: how boxes are reviewed.
        sure_first: whether sure boxes are shown first.
    """

    folder: Path
    accept: AcceptSettings = ACCEPT
    budget: str = ""
    mode: ReviewMode = "review-project"
    sure_first: bool = False
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        images = self.folder / "raw"
        images.mkdir()
        made = tuple(Image(n, f"{n:02d}.png", *SIZE) for n in range(1, IMAGES + 1))
        for image in made:
            pixels = np.random.default_rng(image.id).integers(0, 255, (6, 8, 3), dtype=np.uint8)
            assert cv2.imwrite(str(images / image.file_name), cv2.resize(pixels, SIZE))
        boxes = tuple(
            Box(100 * image.id + n, image.id, 1, place(n, 0), tool_id=f"own-{image.id}-{n}")
            for image in made
            for n in range(LABELLED + MISSING)
        )
        self.full = Dataset(made, boxes, (Category(1, "cell"),))
        sparse = self.full.with_boxes(box for box in boxes if box.id % 100 < LABELLED)
        self.tool = FilesTool(str(self.folder))
        self.project = self.tool.set_up_project("cells", sparse, images)
        self.workspace = Workspace(self.folder / "work")
        self.use_mode(self.mode)

    def use_mode(self, mode: ReviewMode) -> None:
        """Write settings under which boxes are reviewed in this way from now on."""
        self.mode = mode
        accept = self.accept if mode in ("review-project", "auto") else AcceptSettings()
        self.workspace.write_settings(
            Settings(
                source=Source(tool="files", url=self.tool.url, project=self.project),
                review=ReviewSettings(
                    mode=mode,
                    accept=accept,
                    audit=2,
                    budget=self.budget,
                    sure_first=self.sure_first,
                ),
                rounds=RoundSettings(stop_at=1.0),
            )
        )

    @property
    def rounds(self) -> Rounds:
        """Its rounds, opened as a command does."""
        return Rounds(self.workspace, self.tool, say=self.said.append)

    def round(
        self,
        number: int,
        *,
        wrong: int = 0,
        found: int = MISSING,
        before_push: Callable[[], object] = lambda: None,
    ) -> RoundFolder:
        """Run a round up to its push, with a model that is sure of all that it finds.

        Args:
            number: of the round; its reviews are collected by it.
            wrong: boxes on each image that show nothing.
            found: of the missing objects of each image, those that it finds.
            before_push: called between mining and pushing.
        """
        folder = self.workspace.round(number)
        rounds = self.rounds
        dataset = read_coco(rounds.refresh())
        version = f"run-{number}"
        folder.run.root.mkdir(parents=True)
        folder.run.write_info(
            RunInfo(version, "plain", 1, "train.json", "images", [(1, "cell")], "0")
        )
        for path in (folder.annotations, folder.train):
            write_coco(dataset, path)
        with closing(Ledger(self.workspace.ledger)) as ledger:
            write_json(folder.known, {"settled": sorted(ledger.reviewed_ids())})
        places = [place(n, 0) for n in range(LABELLED, LABELLED + found)]
        # Of another round's model they are a little off.
        places += [place(n, 2) for n in range(wrong)]
        mined = [
            self._mined(version, image, (left + number / 10, top, right, bottom))
            for image in dataset.images
            for left, top, right, bottom in places
            if not image.exhaustive
            and not any(
                abs(left - box.xyxy[0]) < 4 and abs(top - box.xyxy[1]) < 4
                for box in (*dataset.boxes_by_image[image.id],)
            )
        ]
        write_candidates(_candidates(version, dataset, mined), folder.candidates)
        write_mined(mined, {"run_id": version}, folder.mined)
        folder.run.model.write_bytes(b"")
        before_push()
        rounds.advance(force=True, push_anyway=True)
        assert folder.push.exists()
        return folder

    def _mined(self, version: str, image: Image, xyxy: XYXY) -> MinedBox:
        id = region_id(version, image.file_name, 1, xyxy)
        return MinedBox(id, image.id, 1, xyxy, 0.97, 0.5, 0.995, 0.998)

    @property
    def review_project(self) -> str:
        """Where people review."""
        with closing(Ledger(self.workspace.ledger)) as ledger:
            (place,) = ledger.places()
        return place.review_project

    def open_reviews(self) -> dict[str, Sequence[OpenReview]]:
        """Return what waits for a reviewer, by the mode of its place."""
        with closing(Ledger(self.workspace.ledger)) as ledger:
            places = ledger.places()
        return {place.mode: self.tool.open_reviews(place.review_project) for place in places}

    def review(self, *, leave: int = 0, **behaviour: float) -> SimulationReport:
        """Let the scripted reviewer review what is open."""
        reviewer = Reviewer(self.full, behaviour=Behaviour(**behaviour))
        dataset = read_coco(self.workspace.annotations)
        return plan_reviews(self.tool, self.review_project, dataset, reviewer, leave=leave).submit()

    def boxes(self, where: Callable[[LedgerBox], bool] = lambda box: True) -> list[LedgerBox]:
        """Return boxes of the ledger."""
        with closing(Ledger(self.workspace.ledger)) as ledger:
            return [box for box in ledger.boxes() if where(box)]

    def outcomes(self, ids: Collection[str]) -> dict[str, int]:
        """Return how many of these boxes have each outcome."""
        found: dict[str, int] = {}
        for box in self.boxes(lambda box: box.region_id in ids):
            found[box.outcome] = found.get(box.outcome, 0) + 1
        return found

    def lot(self, number: int = 1) -> RoundLot:
        """Return the one lot of a round."""
        (lot,) = read_lots(self.workspace.round(number))
        return lot

    def shown_ids(self) -> set[str]:
        """Return the ids of all boxes that reviewers are shown now."""
        reviews = self.tool.open_reviews(self.review_project)
        return {region.region_id for review in reviews for region in review.regions}

    def source_boxes(self) -> int:
        """Return the number of boxes in the project itself."""
        return len(self.tool.pull(self.project, self.folder / "cache").boxes)

    def command(self, *arguments: str | Path) -> Result:
        """Run `sparsedet` on it."""
        return sparsedet_here(*arguments, cwd=self.folder)


def _candidates(version: str, dataset: Dataset, mined: Sequence[MinedBox]) -> CandidateFile:
    """Return the mined boxes as candidates, and one hidden annotation of each image."""
    rows = [(box.image_id, box.xyxy, box.score, UNKNOWN) for box in mined]
    rows += [(box.image_id, box.xyxy, 0.97, RIGHT) for box in dataset.boxes if box.id % 2]
    rows.sort(key=lambda row: row[0])
    count = len(rows)
    scores = np.array([score for _, _, score, _ in rows])
    return CandidateFile(
        version,
        Candidates(
            image_ids=np.array([image for image, *_ in rows], dtype=np.int64),
            category_ids=np.ones(count, dtype=np.int64),
            boxes=np.array([xyxy for _, xyxy, _, _ in rows]).reshape(-1, 4),
            scores=scores,
            object_scores=scores,
            nested=np.zeros(count),
            overlap=np.zeros(count),
            known=np.array([known for *_, known in rows], dtype=np.int8),
        ),
        hidden=sum(known == RIGHT for *_, known in rows),
    )

"""The whole loop on generated data, against a real annotation tool, with a scripted reviewer.

Digit scenes are fully labelled, most boxes are removed, and the rest becomes a project of the
tool. From there on, only information of a real project is used: rounds of pull, train, mine and
push. The reviewer is scripted, and knows the full truth.

Each step writes its result to the demo's folder, and is skipped if that exists.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.annotations.mined_boxes import MinedBox, read_mined
from sparsedet.atomic_io import is_empty_folder, read_json, write_json
from sparsedet.completeness.budget import Budget
from sparsedet.errors import RunError
from sparsedet.loop.round_report import report_of
from sparsedet.loop.rounds import Rounds
from sparsedet.loop.settings import (
    ReviewSettings,
    RoundSettings,
    Settings,
    Source,
    TrainingSettings,
    ValidationSettings,
)
from sparsedet.loop.status import read_status
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import Progress, no_progress
from sparsedet.reading import read_object
from sparsedet.reporting.pictures import before_and_after, write_picture
from sparsedet.reporting.report import write_report
from sparsedet.scriptable_tool import ScriptableTool
from sparsedet.simulation import Behaviour, Reviewer
from sparsedet.simulation.rehearsal import Rehearsal, RehearsedRound
from sparsedet.simulation.scenes import make_scenes
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.training.engine.callbacks import Callbacks

TITLE = "Handwritten digits"
SHOWN_IMAGES = 3
"""Number of images in the demo's picture."""
LEFT_FOR_YOU = 2
"""Number of images in the last round that are left for a person to try."""
_GOAL = 0.99
"""Share of objects with a box at which the demo ends."""


@dataclass(frozen=True, slots=True)
class DemoRule:
    """How large the demo is."""

    scenes: int = 100
    test_scenes: int = 40
    drop: float = 0.7
    """Share of the boxes that the annotators "missed"."""
    iterations: int = 300
    """Iterations of each training."""
    rounds: int = 3
    budget: float = 0.4
    """Share of images that people open in each round except the last, including contact sheets: the
    next model has learned from them."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class DemoReport:
    """The result of the demo."""

    objects: int
    """Number of digits in the scenes."""
    rounds: Sequence[RehearsedRound]
    url: str | None
    """Where the last round is reviewed; None: nothing is left to review."""
    sheets_url: str | None
    """Where its contact sheets are, if any."""
    page: Path
    """The HTML report."""
    picture: Path
    """Boxes by people, and those mined in the first round."""
    estimate: str
    """How complete the annotations are, as estimated without the truth."""

    @property
    def share(self) -> float:
        """Share of the digits that have a box in the end, 0 to 1."""
        return 1 - self.rounds[-1].missing_after / self.objects


class _ProjectFile(BaseModel):
    """Schema of `project.json`."""

    project: str


class Demo:
    """The steps of the demo, in a folder of its own."""

    def __init__(
        self, root: Path, rule: DemoRule, *, device: str, say: Callable[[str], None]
    ) -> None:
        self.root = root
        self.rule = rule
        self.device = device
        self.say = say
        self.workspace = Workspace(root / "workspace")

    def run(
        self,
        tool: ScriptableTool,
        tool_name: str,
        *,
        callbacks: Callbacks | None = None,
        progress: Progress = no_progress,
    ) -> DemoReport:
        """Run the rounds against `tool`, resuming an interrupted call, after `open_folder`."""
        full = self._scenes("train", self.rule.scenes, self.rule.seed)
        self._scenes("test", self.rule.test_scenes, self.rule.seed + 1)
        recipe = load_recipe("random").with_drop(self.rule.drop)
        sparse, removed = remove_boxes(full, recipe, self.rule.seed)
        self.say(
            f"made {len(full.images)} scenes with {len(full.boxes)} digits; the annotators "
            f"missed {len(removed.boxes)} of them"
        )
        project = self._project(tool, sparse, progress)
        with self.workspace.lock():
            self._connect(tool, tool_name, project)
            rounds = Rounds(
                self.workspace, tool, say=self.say, callbacks=callbacks, progress=progress
            )
            reviewer = Reviewer(full, behaviour=Behaviour(), seed=self.rule.seed)
            rehearsal = Rehearsal(rounds, tool, full, reviewer)
            figures = rehearsal.run(
                self.rule.rounds,
                budgets=self._budgets(),
                leave_last=LEFT_FOR_YOU,
                progress=progress,
            )
        estimate = read_status(self.workspace).estimate
        last = report_of(self.workspace.round(self.rule.rounds), "waiting")
        return DemoReport(
            objects=len(full.boxes),
            rounds=figures,
            url=None if last.nothing_up else last.url,
            sheets_url=last.sheets_url,
            page=self._page(figures, len(full.boxes)),
            picture=self._picture(),
            estimate=estimate.text if estimate else "",
        )

    def _budgets(self) -> list[Budget]:
        return [Budget(images=math.ceil(self.rule.budget * self.rule.scenes))] * (
            self.rule.rounds - 1
        )

    def open_folder(self, tool_name: str) -> None:
        """Make the folder of a new demo, or check that it holds an earlier call of this one.

        Before the tool is started, whose data are in the folder.

        Raises:
            RunError: if it has other files, or a demo with other settings, whose parts would not
                match.
        """
        if self.root.is_file():
            raise RunError(f"{self.root}: a file, not a folder; choose another with -o")
        file, rule = self.root / "demo.json", {"tool": tool_name, **asdict(self.rule)}
        if not file.exists():
            if self.root.exists() and not is_empty_folder(self.root):
                raise RunError(
                    f"{self.root}: the output folder is not empty, and has no demo; choose another "
                    "with -o"
                )
            write_json(file, rule)
        elif (known := read_json(file)) != rule:
            raise RunError(
                f"{self.root}: holds a demo with other settings ({known}); remove the folder, or "
                "choose another with -o"
            )

    def _scenes(self, name: str, count: int, seed: int) -> Dataset:
        file = self.root / "scenes" / f"{name}.json"
        if not file.exists():
            write_coco(make_scenes(count, self._scene_folder(name), seed), file)
        return read_coco(file)

    def _scene_folder(self, name: str) -> Path:
        return self.root / "scenes" / name

    def _project(self, tool: ScriptableTool, sparse: Dataset, progress: Progress) -> str:
        file = self.root / "project.json"
        if not file.exists():
            project = tool.set_up_project(TITLE, sparse, self._scene_folder("train"), progress)
            write_json(file, {"project": project})
        advice = "remove the demo's folder, and run it again"
        return str(read_object(file, _ProjectFile, advice)["project"])

    def _connect(self, tool: ScriptableTool, tool_name: str, project: str) -> None:
        """Create the workspace; a restarted server has another address."""
        scenes = Path("..") / "scenes"
        self.workspace.write_settings(
            Settings(
                source=Source(tool=tool_name, url=tool.url, project=project),
                training=TrainingSettings.model_validate(
                    {
                        "seed": self.rule.seed,
                        "device": self.device,
                        "keys": {"SOLVER.MAX_ITER": self.rule.iterations},
                    }
                ),
                review=ReviewSettings(mode="auto"),
                rounds=RoundSettings(stop_at=_GOAL),
                validation=ValidationSettings(
                    data=str(scenes / "test.json"), images=str(scenes / "test")
                ),
            )
        )

    def _page(self, figures: Sequence[RehearsedRound], objects: int) -> Path:
        first, last = figures[0], figures[-1]
        page = self.root / "report.html"
        write_report(
            self.workspace,
            page,
            title=TITLE,
            notes=[
                f"The scenes hold {objects} digits. The annotators missed {first.missing} of them; "
                f"{last.missing_after} are still missing after {len(figures)} rounds of review. (A "
                "real project only has the estimate.)"
            ],
        )
        return page

    def _picture(self) -> Path:
        folder = self.workspace.round(1)
        dataset = read_coco(folder.annotations)
        mined: tuple[MinedBox, ...] = read_mined(folder.mined, dataset)
        file = self.root / "picture.jpg"
        picture = before_and_after(dataset, mined, self.workspace.images, SHOWN_IMAGES)
        write_picture(picture, file)
        return file

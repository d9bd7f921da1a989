"""One pass of the whole loop on generated data, against a real annotation tool.

Digit scenes are labelled completely, most boxes are taken away, the rest becomes a project of the
tool. From there on nothing is known that a real project would not give: pull, train, mine, push. A
scripted reviewer who does know the whole truth then reviews what was pushed.

Every step leaves its result in the demo's folder and is skipped when it is there already.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.errors import RunError
from sparsedet.files import read_json, write_json
from sparsedet.ledger import Ledger, OutcomeCounts, Push
from sparsedet.mining.mine import mine, mined_meta
from sparsedet.mining.mined import MinedBox, read_mined, write_mined
from sparsedet.reporting.pictures import before_and_after, write_picture
from sparsedet.run_folder import RunFolder
from sparsedet.scenes import make_scenes
from sparsedet.simulation import review_regions, true_objects
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.tool import Progress, PushReport, ScriptableTool, no_progress
from sparsedet.training.evaluation import Evaluation, evaluate_run
from sparsedet.training.settings import load_config, read_config
from sparsedet.training.train import Listeners, run_training, start_run
from sparsedet.workspace import Source, Workspace

TITLE = "Handwritten digits"
SHOWN_IMAGES = 3
"""Images in the demo's picture."""
LEFT_FOR_YOU = 5
"""Images that the scripted reviewer leaves for a person to try."""


@dataclass(frozen=True, slots=True)
class DemoRule:
    """How large the demo is."""

    scenes: int = 100
    test_scenes: int = 40
    drop: float = 0.7
    """Share of the boxes that the annotators "missed"."""
    iterations: int = 150
    """Of each training stage."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What came out."""

    pulled_images: int
    pulled_boxes: int
    missing_boxes: int
    """Objects without a box, before the review."""
    evaluation: Evaluation
    mined: int
    push: PushReport
    outcomes: OutcomeCounts


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
        self.run_folder = RunFolder(root / "run")

    def run(
        self,
        tool: ScriptableTool,
        tool_name: str,
        *,
        listeners: Listeners | None = None,
        progress: Progress = no_progress,
    ) -> DemoReport:
        """Run the loop against `tool`, going on where an earlier call stopped."""
        self._remember_rule()
        full = self._scenes("train", self.rule.scenes, self.rule.seed)
        test = self._scenes("test", self.rule.test_scenes, self.rule.seed + 1)
        recipe = load_recipe("random").with_drop(self.rule.drop)
        sparse, removed = remove_boxes(full, recipe, self.rule.seed)
        self.say(
            f"made {len(full.images)} scenes with {len(full.boxes)} digits; the annotators "
            f"missed {len(removed.boxes)} of them"
        )
        project = self._project(tool, sparse, progress)
        pulled = self._pull(tool, tool_name, project, progress)
        self.say(
            f"pulled project {project}: {len(pulled.boxes)} boxes on {len(pulled.images)} images"
        )
        self._train(listeners or Listeners())
        evaluation = self._evaluate(test)
        self.say(
            f"trained a detector: AP50 {evaluation.ap50:.1f} on {len(test.images)} test scenes"
        )
        mined = self._mine(pulled, progress)
        self.say(f"mined {len(mined)} boxes that no annotation explains")
        self._picture(pulled, mined)
        push = tool.push(
            project, pulled, mined, model_version=self.run_folder.info().run_id, progress=progress
        )
        self.say(f"pushed them for review: {push.created} images new, {push.url}")
        outcomes = self._review(tool, tool_name, project, pulled, mined, push, full)
        return DemoReport(
            pulled_images=len(pulled.images),
            pulled_boxes=len(pulled.boxes),
            missing_boxes=len(removed.boxes),
            evaluation=evaluation,
            mined=len(mined),
            push=push,
            outcomes=outcomes,
        )

    def _remember_rule(self) -> None:
        """Refuse to go on with a demo of another size or seed: its parts would not fit together."""
        file, rule = self.root / "demo.json", asdict(self.rule)
        if not file.exists():
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
            project = tool.fill(TITLE, sparse, self._scene_folder("train"), progress)
            write_json(file, {"project": project})
        return str(read_json(file)["project"])

    def _pull(
        self, tool: ScriptableTool, tool_name: str, project: str, progress: Progress
    ) -> Dataset:
        if not self.workspace.source_file.exists():
            dataset = tool.pull(project, self.workspace.images, progress)
            write_coco(dataset, self.workspace.annotations)
            self.workspace.write_source(Source(tool_name, tool.url, project))
        return read_coco(self.workspace.annotations)

    def _train(self, listeners: Listeners) -> None:
        if not self.run_folder.info_file.exists():
            keys = ["SOLVER.MAX_ITER", str(self.rule.iterations)]
            start_run(
                load_config("lite0_fpn", keys),
                self.run_folder,
                self.workspace.annotations,
                self.workspace.images,
                method="staged",
                seed=self.rule.seed,
                device=self.device,
            )
        run_training(self.run_folder, device=self.device, listeners=listeners)

    def _evaluate(self, test: Dataset) -> Evaluation:
        file = self.root / "evaluation.json"
        if not file.exists():
            cfg = read_config(self.run_folder.config)
            folder = self._scene_folder("test")
            result = evaluate_run(self.run_folder, cfg, test, folder, device=self.device)
            write_json(file, asdict(result))
        return Evaluation(**read_json(file))

    def _mine(self, pulled: Dataset, progress: Progress) -> tuple[MinedBox, ...]:
        file = self.root / "mined.json"
        if not file.exists():
            cfg = read_config(self.run_folder.config)
            result = mine(
                self.run_folder,
                cfg,
                pulled,
                self.workspace.images,
                device=self.device,
                on_image=lambda done, total: progress("mining", done, total),
            )
            write_mined(result.mined, mined_meta(self.run_folder, cfg, pulled, result), file)
        return read_mined(file, pulled)

    def _picture(self, pulled: Dataset, mined: tuple[MinedBox, ...]) -> None:
        if mined:
            picture = before_and_after(pulled, mined, self.workspace.images, SHOWN_IMAGES)
            write_picture(picture, self.root / "picture.jpg")
            self.say(f"some of them, orange beside the annotations: {self.root / 'picture.jpg'}")

    def _review(
        self,
        tool: ScriptableTool,
        tool_name: str,
        project: str,
        pulled: Dataset,
        mined: tuple[MinedBox, ...],
        push: PushReport,
        full: Dataset,
    ) -> OutcomeCounts:
        record = Push(
            tool=tool_name,
            url=tool.url,
            project=project,
            review_project=push.review_project,
            model_version=push.model_version,
        )
        ledger = Ledger(self.workspace.ledger)
        ledger.record_push(record, mined, pulled)
        objects = true_objects(full)
        names = {image.tool_id: _scene_name(image.file_name) for image in pulled.images}
        for review in list(tool.open_reviews(push.review_project))[:-LEFT_FOR_YOU]:
            truth = objects[names[review.tool_id]]
            tool.submit(review, review_regions(review.regions, review.scores, truth), seconds=4.0)
        for known in ledger.pushes():
            ledger.record_review(known, tool.reviewed(known.review_project))
        counts = ledger.counts()
        ledger.close()
        return counts


def _scene_name(file_name: str) -> str:
    """Return the name under which a scene was uploaded; tools put prefixes before it."""
    return "scene_" + file_name.rsplit("scene_", 1)[-1]

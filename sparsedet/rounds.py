"""Active annotation: rounds of pull, split, train, mine, push and review, each step resumable.

A step leaves its result in a file that is written last and whole, and is skipped where that file
is there. So a round that was cut off anywhere goes on at the step that was cut off, and ends in
the files of a round that was not.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sparsedet.annotations import Dataset, read_coco, write_coco
from sparsedet.feedback import collect_reviews, with_feedback
from sparsedet.files import read_json, write_json
from sparsedet.ledger import Ledger, OutcomeCounts, Place, Push
from sparsedet.mining.mine import mine, mined_meta
from sparsedet.mining.mined import read_mined, write_mined
from sparsedet.mining.pending import without_pending
from sparsedet.round_folder import RoundFolder
from sparsedet.settings import Settings
from sparsedet.sparsify.split import hold_out
from sparsedet.tool import AnnotationTool, Progress, load_integration, no_progress
from sparsedet.training.evaluation import evaluate_run
from sparsedet.training.settings import load_config, read_config
from sparsedet.training.train import Listeners, choose_device, run_training, start_run
from sparsedet.workspace import Workspace, locate

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RoundReport:
    """Where a workspace stands after `Rounds.advance`."""

    round: int
    state: Literal["pushed", "waiting"]
    """`pushed`: boxes were just put up; `waiting`: nobody has reviewed anything since then."""
    annotations: int
    """Boxes that the round began with."""
    mined: int
    """Boxes that the round's model found missing."""
    up_for_review: int
    """With those of earlier rounds that nobody has looked at yet."""
    url: str | None
    """Where a person reviews them; None when nothing is up."""


class Rounds:
    """The rounds of a workspace, run against its annotation tool.

    The caller holds the workspace's lock.

    Args:
        workspace: with a `sparsedet.toml`.
        tool: the connection to its source.
        say: is told, line by line, what goes on.
        listeners: are told how trainings go on.
        progress: is told how everything else goes on.
    """

    def __init__(
        self,
        workspace: Workspace,
        tool: AnnotationTool,
        *,
        say: Say,
        listeners: Listeners | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self.workspace = workspace
        self.settings: Settings = workspace.settings()
        self.tool = tool
        self.say = say
        self.listeners = listeners or Listeners()
        self.progress = progress
        self.device = choose_device(self.settings.training.device)

    def advance(self, *, force: bool = False) -> RoundReport:
        """Finish the round that is under way; or collect its reviews and run the next one.

        Args:
            force: start the next round even if nobody has reviewed anything.
        """
        begun = self.workspace.all_rounds()
        current = begun[-1] if begun else self.workspace.round(1)
        if current.push.exists():
            if not self.collect(current) and not force:
                return _report(current, "waiting")
            current = self.workspace.round(current.number + 1)
        for name, result, step in (
            ("pull", current.annotations, self._pull),
            ("split", current.train, self._split),
            ("train", current.run.model, self._train),
            ("evaluate", current.evaluation, self._evaluate),
            ("mine", current.mined, self._mine),
            ("push", current.push, self._push),
        ):
            if not result.exists() and (name != "evaluate" or self._evaluation_data(current)):
                self.say(f"round {current.number}: {name}")
                step(current)
        return _report(current, "pushed")

    def collect(self, folder: RoundFolder) -> int:
        """Collect what reviewers did; return how many boxes are settled since the round's push."""
        with closing(Ledger(self.workspace.ledger)) as ledger:
            collect_reviews(ledger, self._connect)
            counts = ledger.counts()
        write_json(folder.review, asdict(counts), indent=1)
        return _settled(counts) - int(read_json(folder.push)["settled_before"])

    def refresh(self) -> Path:
        """Pull, and add what reviewers said until now; return the workspace's annotation file."""
        write_coco(self._pulled(), self.workspace.annotations)
        return self.workspace.annotations

    def _connect(self, place: Place) -> AnnotationTool:
        """Return the connection to a place that was pushed to; the source may have moved since."""
        if (place.tool, place.url) == (self.settings.source.tool, self.tool.url):
            return self.tool
        return load_integration(place.tool)(
            place.url, complete_control=self.settings.review.complete_control
        )

    def _pull(self, folder: RoundFolder) -> None:
        dataset = self._pulled()
        write_coco(dataset, self.workspace.annotations)
        write_coco(dataset, folder.annotations)

    def _pulled(self) -> Dataset:
        pulled = self.tool.pull(self.settings.source.project, self.workspace.images, self.progress)
        with closing(Ledger(self.workspace.ledger)) as ledger:
            reviews = collect_reviews(ledger, self._connect)
            dataset = with_feedback(pulled, ledger.boxes(), reviews)
        self.say(
            f"{len(dataset.boxes)} annotations on {len(dataset.images)} images, "
            f"{len(dataset.boxes) - len(pulled.boxes)} of them from reviews; "
            f"{len(dataset.background)} boxes that reviewers rejected"
        )
        return dataset

    def _split(self, folder: RoundFolder) -> None:
        dataset = read_coco(folder.annotations)
        if share := self.settings.validation.share:
            dataset, val = hold_out(dataset, share, self.settings.training.seed)
            write_coco(val, folder.val)
        write_coco(dataset, folder.train)

    def _train(self, folder: RoundFolder) -> None:
        training = self.settings.training
        if not folder.run.info_file.exists():
            start_run(
                load_config(training.config, training.overrides()),
                folder.run,
                folder.train,
                self.workspace.images,
                method=training.method,
                seed=training.seed,
                device=self.device,
            )
        run_training(folder.run, device=self.device, listeners=self.listeners)

    def _evaluate(self, folder: RoundFolder) -> None:
        source = self._evaluation_data(folder)
        if source is None:
            return
        result = evaluate_run(
            folder.run,
            read_config(folder.run.config),
            read_coco(source[0]),
            source[1],
            device=self.device,
            on_image=lambda done, total: self.progress("evaluating", done, total),
        )
        write_json(folder.evaluation, result.as_json(), indent=2)
        self.say(f"AP50 {result.ap50:.1f} on {result.images} images")

    def _evaluation_data(self, folder: RoundFolder) -> tuple[Path, Path] | None:
        """Return COCO file and image folder to measure on: the user's own, else what is held out.

        None where there is neither.
        """
        validation = self.settings.validation
        if validation.data:
            images = self.workspace.root / validation.images if validation.images else None
            return locate(self.workspace.root / validation.data, images)
        return (folder.val, self.workspace.images) if folder.val.exists() else None

    def _mine(self, folder: RoundFolder) -> None:
        dataset = read_coco(folder.annotations)
        cfg = read_config(folder.run.config)
        # People judge these, so more may be wrong than among those that training takes for labels.
        cfg.SPARSEDET.MINING.QUANTILE = self.settings.mining.quantile
        result = mine(
            folder.run,
            cfg,
            dataset,
            self.workspace.images,
            device=self.device,
            on_image=lambda done, total: self.progress("mining", done, total),
        )
        with closing(Ledger(self.workspace.ledger)) as ledger:
            # What still waits for a reviewer is not new; it goes up again as it was.
            new = without_pending(result.mined, ledger.pending(dataset))
        meta = mined_meta(folder.run, cfg, dataset, replace(result, mined=new))
        write_mined(new, meta, folder.mined)
        self.say(f"mined {len(new)} boxes that no annotation explains")

    def _push(self, folder: RoundFolder) -> None:
        dataset = read_coco(folder.annotations)
        new = read_mined(folder.mined, dataset)
        record: dict[str, Any] = {"mined": len(new), "boxes": 0, "url": None}
        with closing(Ledger(self.workspace.ledger)) as ledger:
            record["settled_before"] = _settled(ledger.counts())
            ids = {box.region_id for box in new}
            # After a push that was cut off the new boxes may be in the ledger already.
            pending = [box for box in ledger.pending(dataset) if box.region_id not in ids]
            if boxes := [*new, *pending]:
                source, mode = self.settings.source, self.settings.review.mode
                report = self.tool.push(
                    source.project,
                    dataset,
                    boxes,
                    model_version=folder.run.info().run_id,
                    mode=mode,
                    progress=self.progress,
                )
                push = Push(
                    tool=source.tool,
                    url=self.tool.url,
                    project=source.project,
                    review_project=report.review_project,
                    model_version=report.model_version,
                    mode=mode,
                    round=folder.number,
                )
                for line in report.skipped_lines():
                    self.say(line)
                ledger.record_push(push, boxes, dataset, frozenset(report.skipped))
                record |= asdict(report)
        write_json(folder.push, record, indent=1)


def _settled(counts: OutcomeCounts) -> int:
    return counts.accepted + counts.edited + counts.rejected


def _report(folder: RoundFolder, state: Literal["pushed", "waiting"]) -> RoundReport:
    record = read_json(folder.push)
    return RoundReport(
        round=folder.number,
        state=state,
        annotations=len(read_json(folder.annotations)["annotations"]),
        mined=record["mined"],
        up_for_review=record["boxes"],
        url=record["url"],
    )

"""A round on disk: one file per finished step."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsedet.training.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class RoundFolder:
    """The files of a round; a step is done when its file is there, since each is written last."""

    root: Path
    number: int

    @property
    def next_step(self) -> str | None:
        """The first step that is not done; None when the round waits for its reviewers."""
        steps = {
            "pull": self.annotations,
            "split": self.train,
            "train": self.run.model,
            "mine": self.mined,
            "push": self.push,
        }
        return next((name for name, result in steps.items() if not result.exists()), None)

    @property
    def known(self) -> Path:
        """Which mined boxes reviewers had judged when the round was pulled."""
        return self.root / "known.json"

    @property
    def annotations(self) -> Path:
        """What was pulled, with what reviewers said until then: a COCO file."""
        return self.root / "annotations.json"

    @property
    def val(self) -> Path:
        """The images that the round does not train on, where some are held out."""
        return self.root / "val.json"

    @property
    def train(self) -> Path:
        """The images that the round trains on."""
        return self.root / "train.json"

    @property
    def run(self) -> "RunFolder":
        """The training."""
        from sparsedet.training.run_folder import (
            RunFolder,  # numpy: not for commands that only look
        )

        return RunFolder(self.root / "run")

    @property
    def evaluation(self) -> Path:
        """How good its model is, where there is something to measure it on."""
        return self.root / "evaluation.json"

    @property
    def mined(self) -> Path:
        """What its model found."""
        return self.root / "mined.json"

    @property
    def push(self) -> Path:
        """What was put up for review, and where."""
        return self.root / "push.json"

    @property
    def review(self) -> Path:
        """What had become of its boxes when they were last looked at."""
        return self.root / "review.json"

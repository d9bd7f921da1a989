"""The folder of a round. Paths only; imports little, for `--help`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsedet.run_folder import RunFolder

START_OVER = "restore it, or start the round over with `sparsedet round --restart`"
"""What to do about a missing or broken file of a round that was not pushed yet."""


@dataclass(frozen=True, slots=True)
class RoundFolder:
    """The files of a round; each step writes its file last, so a step is done if it exists."""

    root: Path
    number: int

    @property
    def next_step(self) -> str | None:
        """The first step that is not done; None while the round waits for its reviewers."""
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
        """The mined boxes that reviewers had judged when the round was pulled."""
        return self.root / "known.json"

    @property
    def options(self) -> Path:
        """Options of `sparsedet round` for this round, if any."""
        return self.root / "options.json"

    @property
    def annotations(self) -> Path:
        """The pulled annotations with reviews applied: a COCO file."""
        return self.root / "annotations.json"

    @property
    def val(self) -> Path:
        """The held-out images, if any."""
        return self.root / "val.json"

    @property
    def train(self) -> Path:
        """The training images."""
        return self.root / "train.json"

    @property
    def run(self) -> "RunFolder":
        """The training run."""
        # It imports numpy, which commands that only look can do without.
        from sparsedet.run_folder import RunFolder

        return RunFolder(self.root / "run")

    @property
    def evaluation(self) -> Path:
        """The model's evaluation, if there is evaluation data."""
        return self.root / "evaluation.json"

    @property
    def mined(self) -> Path:
        """The boxes mined by its model."""
        return self.root / "mined.json"

    @property
    def lots(self) -> Path:
        """Its boxes to be accepted by sample, if any."""
        return self.root / "lots.json"

    @property
    def candidates(self) -> Path:
        """Its model's detections at any score that may show an object without a box."""
        return self.root / "candidates.json"

    @property
    def suspicions(self) -> Path:
        """Annotations that look wrong to its model."""
        return self.root / "suspicions.json"

    @property
    def estimate(self) -> Path:
        """The last completeness estimate."""
        return self.root / "estimate.json"

    @property
    def plan(self) -> Path:
        """What its push shows to people, from before anything is shown."""
        return self.root / "plan.json"

    @property
    def sheets(self) -> Path:
        """The layouts of its contact sheets; a folder next to it holds their pictures."""
        return self.root / "sheets.json"

    @property
    def push(self) -> Path:
        """What was pushed for review, and where to."""
        return self.root / "push.json"

    @property
    def rehearsed(self) -> Path:
        """The scripted reviewer's actions, in rehearsals."""
        return self.root / "rehearsed.json"

    @property
    def review(self) -> Path:
        """The last known outcomes of its boxes."""
        return self.root / "review.json"

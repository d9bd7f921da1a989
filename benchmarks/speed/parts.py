"""The parts of `staged`, of which each is left out once, to see what it costs."""

from dataclasses import dataclass

STAGES = ("stage 1", "later stage")


@dataclass(frozen=True)
class Part:
    """`staged` without one of its parts: one of the ablations of the accuracy benchmark."""

    name: str
    overrides: tuple[str, ...]
    """KEY VALUE pairs."""
    stages: tuple[str, ...] = ()
    """In which the steps take another time."""

    def steps(self, stage: str) -> str:
        """Return what its steps in a stage are called; those of `staged` where they are alike."""
        return f"{self.name}, {stage}" if stage in self.stages else f"staged, {stage}"


PARTS = (
    Part("nothing mined", ("SPARSEDET.STAGED.MINE_AT", "()")),
    Part("mined once", ("SPARSEDET.STAGED.MINE_AT", "(0.5,)")),
    Part("no mined labels", ("SPARSEDET.STAGED.LABELS", "False"), STAGES[1:]),
    Part("nothing ignored", ("SPARSEDET.STAGED.IGNORED", "False"), STAGES[1:]),
    Part("without pasting", ("SPARSEDET.STAGED.PASTES", "0"), STAGES),
    Part("without zoom", ("SPARSEDET.STAGED.ZOOM_SHARE", "0.0"), STAGES),
)

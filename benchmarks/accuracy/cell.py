"""A cell: one training and its evaluation."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Cell(BaseModel):
    """What is trained, on what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    """Name of the dataset."""
    recipe: str
    drop: float | None
    """Share of the boxes that the recipe removes; None: the recipe takes none."""
    method: str
    variant: str = ""
    """Name of the ablation; empty: the method as it is."""
    overrides: tuple[str, ...] = ()
    """KEY VALUE pairs of the ablation."""
    seed: int
    """Of the removal and of the training: cells of one seed see the same boxes."""
    iterations: int
    """Of the whole run, whatever the method."""
    config: str
    """Training configuration: a name of the package's, or a file."""

    @property
    def key(self) -> str:
        """The name of the cell's file, below the folder of all cells and without suffix."""
        parts = [
            self.recipe,
            *([] if self.drop is None else [f"{self.drop:g}"]),
            self.method,
            *([self.variant.replace(" ", "-")] if self.variant else []),
            f"s{self.seed}",
            f"{self.iterations}it",
            Path(self.config).stem,
        ]
        return f"{self.data}/{'-'.join(parts)}"

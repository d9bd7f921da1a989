"""`lots.json` of a round: its boxes that are accepted by sample, and the results."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sparsedet.annotations import Dataset
from sparsedet.atomic_io import write_json
from sparsedet.completeness.lots import Lot
from sparsedet.loop.round_files import read_push
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.workspace import Workspace
from sparsedet.reading import read_object

LotState = Literal["waiting", "passed", "failed", "withdrawn", "undone"]
"""`waiting`: for the reviews of its sample; `withdrawn`: its sample was withdrawn before it was
reviewed, e.g. by the next round; `undone`: it passed, and a person undid that."""


@dataclass(frozen=True, slots=True)
class RoundLot:
    """A lot of a round."""

    id: str
    """Round number and lot number, such as `3-1`."""
    category: str
    """Class name when the lot was formed."""
    expected: float
    """Expected precision of its boxes together, 0 to 1."""
    boxes: tuple[str, ...]
    """Region ids, including the sample."""
    sample: tuple[str, ...]
    """Region ids of the boxes that people review."""
    allowed: int
    """Maximum number of wrong boxes in the sample."""
    state: LotState = "waiting"
    wrong: int = 0
    """Wrong or undecided boxes of the sample when the lot was settled."""
    settled_at: str = ""
    """ISO 8601 with time zone; empty while waiting."""

    @property
    def rest(self) -> frozenset[str]:
        """Region ids of the boxes waiting for the sample."""
        return frozenset(self.boxes) - frozenset(self.sample)

    @property
    def place(self) -> str:
        """The ledger's place for its boxes."""
        return f"lot-{self.id}"

    def __str__(self) -> str:
        return f"lot {self.id} ({self.category})"


class _LotFields(BaseModel):
    """Schema of an entry of `lots.json`; see `RoundLot`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    id: str
    category: str
    expected: float
    boxes: list[str]
    sample: list[str]
    allowed: int
    state: LotState = "waiting"
    wrong: int = 0
    settled_at: str = ""


class _Lots(BaseModel):
    lots: list[_LotFields]


_RESTORE = "invalid lots: restore it, nothing else records which boxes were accepted by sample"


def round_lots(formed: Iterable[Lot], dataset: Dataset, number: int) -> list[RoundLot]:
    """Return the lots of round `number` from its file."""
    return [
        RoundLot(
            id=f"{number}-{place}",
            category=dataset.category_by_id[lot.category_id].name,
            expected=round(lot.expected, 4),
            boxes=tuple(box.region_id for box in lot.boxes),
            sample=tuple(sorted(lot.sample)),
            allowed=lot.allowed,
        )
        for place, lot in enumerate(formed, start=1)
    ]


def read_lots(folder: RoundFolder) -> list[RoundLot]:
    """Return the lots of a round; most have none.

    Raises:
        SparseDetError: when the file is invalid.
    """
    if not folder.lots.exists():
        return []
    return [_lot(entry) for entry in read_object(folder.lots, _Lots, _RESTORE)["lots"]]


def lost_boxes(folder: RoundFolder) -> int:
    """Return the number of boxes that wait for ever: they were held by lots whose file is missing.

    Raises:
        SparseDetError: when `push.json` is invalid.
    """
    if folder.lots.exists() or not folder.push.exists():
        return 0
    return int(read_push(folder).get("held", 0))


def write_lots(lots: Iterable[RoundLot], folder: RoundFolder) -> None:
    """Write the lots of a round, atomically."""
    write_json(folder.lots, {"lots": [asdict(lot) for lot in lots]}, indent=1)


def write_lot(lot: RoundLot, folder: RoundFolder) -> None:
    """Replace one lot in a round's file."""
    write_lots([lot if lot.id == other.id else other for other in read_lots(folder)], folder)


def all_lots(workspace: Workspace) -> list[tuple[RoundFolder, RoundLot]]:
    """Return the lots of all rounds, oldest first."""
    return [(folder, lot) for folder in workspace.all_rounds() for lot in read_lots(folder)]


def _lot(entry: Mapping[str, Any]) -> RoundLot:
    lot = RoundLot(**entry)
    return replace(lot, boxes=tuple(lot.boxes), sample=tuple(lot.sample))

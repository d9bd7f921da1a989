"""`candidates.json`: a round's candidates in columns, and the priors of their calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from sparsedet.atomic_io import read_json, write_json
from sparsedet.completeness.expected_precision import FIRST_ROUND, EarlierRounds
from sparsedet.completeness.object_count import Count
from sparsedet.completeness.precision_likelihood import Coefficients
from sparsedet.completeness.ratio import Ratio
from sparsedet.errors import SparseDetError
from sparsedet.mining.candidates import Candidates
from sparsedet.reading import ODD_VALUES

_VERSION = 1
_TYPES = {
    "image_ids": np.int64,
    "category_ids": np.int64,
    "known": np.int8,
}


@dataclass(frozen=True)
class CandidateFile:
    """What mining stores for the estimate."""

    run_id: str
    """The run that found them."""
    candidates: Candidates
    hidden: int
    """Number of annotations hidden from the run."""
    earlier: EarlierRounds = FIRST_ROUND
    """What earlier rounds say about them."""
    ratio: Ratio | None = None
    """Ratio of found to expected objects on images that earlier rounds completed."""
    audited: int = 0
    """Blind-sample images of earlier rounds."""
    marking: float = 0.0
    """The chance that reviewers mark an image with nothing missing, by earlier rounds."""
    embeddings: Mapping[int, Sequence[float]] = field(default_factory=dict)
    """Image id -> `Detections.embedding`."""


def write_candidates(content: CandidateFile, path: Path) -> None:
    """Write `path` atomically; scores and coordinates are rounded to significant digits."""
    columns: dict[str, Any] = {}
    for one in fields(Candidates):
        column = getattr(content.candidates, one.name)
        digits = 2 if one.name == "boxes" else 5
        rounded = column if one.name in _TYPES else np.round(column, digits)
        columns[one.name] = rounded.tolist()
    earlier, calibration = content.earlier, content.earlier.calibration
    write_json(
        path,
        {
            "version": _VERSION,
            "run_id": content.run_id,
            "hidden": content.hidden,
            "audited": content.audited,
            "missing": earlier.missing,
            "unreviewed": earlier.unreviewed,
            "marking": content.marking,
            "earlier": None
            if calibration is None
            else {one.name: getattr(calibration, one.name).tolist() for one in fields(calibration)},
            "ratio": None if content.ratio is None else [content.ratio.shape, content.ratio.rate],
            "looks": {
                str(id): [round(v, 4) for v in vector] for id, vector in content.embeddings.items()
            },
            "candidates": columns,
        },
    )


def read_candidates(path: Path) -> CandidateFile:
    """Read what `write_candidates` wrote.

    Raises:
        SparseDetError: when the file is broken.
    """
    content = read_json(path)
    try:
        columns = {
            one.name: np.array(
                content["candidates"][one.name], dtype=_TYPES.get(one.name, np.float64)
            )
            for one in fields(Candidates)
        }
        columns["boxes"] = columns["boxes"].reshape(-1, 4)
        if len({len(column) for column in columns.values()}) > 1:
            raise ValueError("columns of different lengths")
        if not all(np.isfinite(column).all() for column in columns.values()):
            raise ValueError("non-finite number")
        calibration, ratio = content["earlier"], content["ratio"]
        missing = content.get("missing")  # not in older files
        return CandidateFile(
            run_id=str(content["run_id"]),
            candidates=Candidates(**columns),
            hidden=int(content["hidden"]),
            earlier=EarlierRounds(
                None
                if calibration is None
                else Coefficients(
                    **{name: np.array(v, dtype=np.float64) for name, v in calibration.items()}
                ),
                None if missing is None else Count(*map(float, missing)),
                float(content.get("unreviewed", 1.0)),  # not in older files
            ),
            ratio=None if ratio is None else Ratio(*map(float, ratio)),
            audited=int(content["audited"]),
            marking=float(content.get("marking", 0.0)),  # not in older files
            embeddings={int(id): list(map(float, v)) for id, v in content.get("looks", {}).items()},
        )
    except ODD_VALUES as error:
        raise SparseDetError(
            f"{path}: unexpected content ({error!r}); remove it and run `sparsedet round` "
            "to mine again"
        ) from error

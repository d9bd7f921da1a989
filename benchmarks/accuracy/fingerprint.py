"""What the figures of a cell depend on: when any of it changes, the cell is stale."""

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import reduce
from operator import getitem
from pathlib import Path

from detectron2.config import CfgNode
from pydantic import BaseModel, ConfigDict

import sparsedet
from sparsedet.annotations import Box, Dataset
from sparsedet.annotations.coco import to_coco
from sparsedet.training.config.loading import load_config
from sparsedet.training.engine.train import prepare_config

from .cell import Cell
from .data import FullData

_CODE = ("mining", "modeling", "training")
"""Packages of `sparsedet` whose code decides about figures."""
_KEYS_AND_DEFAULTS = Path("modeling/config.py")
"""Of these, the file whose values all are in the configuration's hash."""
_UNREAD = {
    "plain": ("STAGED", "MINING", "PSEUDO_POSITIVES", "CONFIDENT_DETECTIONS", "AUGMENTED_VIEW"),
    "end-to-end": ("STAGED", "MINING"),
    "staged": ("PSEUDO_POSITIVES", "CONFIDENT_DETECTIONS"),
}
"""Groups of keys below SPARSEDET that a method does not read: they decide about no figure of it."""
_ADDED = {
    "SOLVER.ACCUMULATION": 1,
    "SOLVER.AMP.PRECISION": "auto",
    "SOLVER.CHECKPOINTS_KEPT": 2,
    "SPARSEDET.VALIDATION.HELD_OUT": 0.1,
    "SPARSEDET.VALIDATION.DETECTIONS": 100,
    "SPARSEDET.VALIDATION.PATIENCE": 0,
    "DATALOADER.MAX_UNREADABLE": 10,
}
"""Keys that came after the first cells, with the values that mean what was without them: with these
they don't count."""
_ADDED_WHERE_SPARSE = {"SPARSEDET.STAGED.MIN_MISSING": 0.4}
"""The same, with values that mean what was without them on data of which boxes were removed."""
_STAGED_BEFORE = {"HELD_OUT": 0.0, "OBJECTS": False}
"""Keys below SPARSEDET.STAGED that only the first cells had, with the values that mean what is
without them."""


class Fingerprint(BaseModel):
    """Hashes of what a cell is made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    configuration: str
    """Of every key that the method reads, with method, seed and iterations."""
    training_data: str
    """Of the annotations that are left."""
    test_data: str
    """Of the test annotations, and of the objects that they lack."""
    code: str

    def differences(self, other: "Fingerprint") -> list[str]:
        """Return what differs, in words."""
        mine, others = self.model_dump(), other.model_dump()
        return [name.replace("_", " ") for name in mine if mine[name] != others[name]]


def fingerprint(cell: Cell, data: FullData, code: str) -> Fingerprint:
    """Return what a cell would be made from now.

    Raises:
        ConfigError: when its configuration has no such key or value.
        RecipeError: when its recipe can't be applied.
    """
    return Fingerprint(
        configuration=configuration_hash(cell, len(data.train.categories)),
        training_data=dataset_hash(data.sparse(cell)[0]),
        test_data=test_hash(data),
        code=code,
    )


def configuration(cell: Cell) -> CfgNode:
    """Return the configuration that a cell's run starts with."""
    return load_config(cell.config, ["SOLVER.MAX_ITER", str(cell.iterations), *cell.overrides])


def configuration_hash(cell: Cell, classes: int) -> str:
    """Return the hash of what a cell's method reads of its configuration, on so many classes."""
    cfg = prepare_config(configuration(cell), method=cell.method, seed=cell.seed, classes=classes)
    cfg.MODEL.DEVICE = cfg.OUTPUT_DIR = ""
    cfg.SPARSEDET.STAGED.update(_STAGED_BEFORE)
    for key, before in (_ADDED if cell.drop == 0 else _ADDED | _ADDED_WHERE_SPARSE).items():
        *parents, leaf = key.split(".")
        node = reduce(getitem, parents, cfg)
        if node[leaf] == before:
            del node[leaf]
    for group in _UNREAD[cell.method]:
        del cfg.SPARSEDET[group]
    if not cfg.SPARSEDET.VALIDATION:
        del cfg.SPARSEDET["VALIDATION"]
    return _short(cfg.dump().encode())


def dataset_hash(dataset: Dataset, unlabelled: Iterable[Box] = ()) -> str:
    """Return the hash of annotations, and of objects that they lack."""
    boxes = [(box.image_id, box.category_id, box.xyxy) for box in unlabelled]
    return _short(json.dumps([to_coco(dataset), boxes], sort_keys=True).encode())


def test_hash(data: FullData) -> str:
    """Return the hash of what cells are evaluated on."""
    return dataset_hash(data.test, data.unlabelled_test)


def code_hash(package: Path | None = None) -> str:
    """Return the hash of the code that trains and mines; None: of `sparsedet` here.

    Comments, docstrings and layout don't count: they decide about no figure.
    """
    package = package or Path(sparsedet.__file__).parent
    digest = hashlib.sha256()
    files = {path for part in _CODE for path in (package / part).rglob("*.py")}
    for path in sorted(files - {package / _KEYS_AND_DEFAULTS}):
        content = _statements(path)
        digest.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _statements(path: Path) -> bytes:
    """Return a module's code without what is text only."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [line for line in node.body if not _is_text(line)]
    return ast.dump(tree).encode()


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]

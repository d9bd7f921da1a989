"""Check that each round has the files its state implies, and that they can be read."""

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sparsedet.annotations import Dataset, read_coco
from sparsedet.annotations.mined_boxes import meta_path, read_mined
from sparsedet.annotations.suspicions import read_suspicions
from sparsedet.atomic_io import read_json
from sparsedet.checking.checked import Checked
from sparsedet.checking.finding import Finding, LostAndFound, one_line
from sparsedet.errors import SparseDetError
from sparsedet.loop.lot_file import lost_boxes, read_lots
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.round_sheets import stored_sheets
from sparsedet.wording import counted
from sparsedet.yaml_reading import read_yaml

_STEPS = "pull", "split", "train", "mine", "push"
"""In order; includes every value of a round's `next_step`."""
_PUSHED: dict[str, tuple[type, ...]] = {
    "model_version": (str,),
    "review_project": (str,),
    "place": (dict, type(None)),
    "skipped": (dict, list, type(None)),
    "gone": (list, type(None)),
    "withdrawn": (list, type(None)),
    "queue": (list, type(None)),
}
"""Fields of a push in `push.json`, with their columns; older rounds lack some."""
_OPENED = "image_tool_id"


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a round."""

    path: Path
    step: str
    """The step that writes it."""
    read: Callable[[Path], object]
    """Raises if the file can't be used."""
    needed: bool = False
    """Whether its presence means that the step is done."""
    dispensable: bool = False
    """Whether rounds can do without it after the push, or reading reviews restores it."""


def check_numbers(checked: Checked) -> Iterator[Finding]:
    """Check that rounds are numbered from 1 without gaps, each under its one name."""
    rounds = checked.workspace.rounds
    names = {path.name for path in (rounds.iterdir() if rounds.is_dir() else ()) if path.is_dir()}
    numbers = sorted({int(name) for name in names if name.isdigit()})
    for name in sorted(names):
        if not name.isdigit() or int(name) < 1 or name != f"{int(name):03d}":
            yield Finding(
                "round-name",
                checked.name(rounds / name),
                "not the folder of a round (001, 002, ...)",
                severity="info" if not name.isdigit() else "error",
            )
    for number in sorted(set(range(1, max(numbers, default=0))) - set(numbers)):
        path = checked.workspace.round(number).root
        yield Finding("round-missing", checked.name(path), "missing; restore it from a backup")


def check_round(checked: Checked, folder: RoundFolder, *, newest: bool) -> Iterator[Finding]:
    """Check the files of one round.

    Results of the newest round from before its push can be redone: the next `sparsedet round` does
    so once the file is set aside.

    Args:
        checked: the workspace.
        folder: the round.
        newest: whether it is the newest round; every other one was pushed.
    """
    done = [file for file in _files(checked, folder) if file.needed and file.path.exists()]
    last = max((_STEPS.index(file.step) for file in done), default=-1)
    if not newest and not folder.push.exists():
        last = _STEPS.index("push")
    for file in _files(checked, folder):
        try:
            if file.path.exists():
                file.read(file.path)
                continue
            # In the newest round, the next step may just not be done yet.
            if not file.needed or _STEPS.index(file.step) > last:
                continue
            what = f"missing, though the round has done the step '{_STEPS[last]}'"
        except (SparseDetError, OSError) as error:
            what = one_line(error, file.path)
        yield _finding(checked, folder, file, what, is_open=newest and not folder.push.exists())


def _finding(
    checked: Checked, folder: RoundFolder, file: _File, what: str, *, is_open: bool
) -> Finding:
    where = checked.name(file.path)
    kind = "round-file" if file.path.exists() else "round-file-missing"
    # The options of an open round are not a step's result.
    if is_open and file.path != folder.options:
        repair = partial(_back_to, checked, folder, file.step)
        return Finding(kind, where, what, checked.command("round"), repair=repair)
    # The readers' advice is meant for a running round.
    what = what.partition("; remove it")[0]
    if file.dispensable:
        command = checked.command("review")
        return Finding(kind, where, what, command, "warning", partial(_set_aside, file.path))
    return Finding(kind, where, f"{what}; restore it from a backup")


def _files(checked: Checked, folder: RoundFolder) -> list[_File]:
    """Return the possible files of a round, in step order."""
    dataset = checked.round_annotations(folder)
    run = folder.run
    return [
        _File(folder.options, "pull", _object, dispensable=True),
        _File(folder.known, "pull", _known),
        _File(folder.annotations, "pull", read_coco, needed=True),
        _File(folder.val, "split", read_coco),
        _File(folder.train, "split", partial(_train, dataset), needed=True),
        _File(run.model, "train", partial(_model, whole=checked.read_data), needed=True),
        _File(run.info_file, "train", lambda _: run.info(), needed=True),
        _File(run.config, "train", partial(_config, whole=checked.read_data), needed=True),
        _File(run.training_data, "train", read_coco),
        _File(folder.evaluation, "mine", _object, dispensable=True),
        _File(folder.candidates, "mine", _candidates, dispensable=True),
        _File(folder.suspicions, "mine", read_suspicions, dispensable=True),
        _File(meta_path(folder.mined), "mine", _object, dispensable=True),
        _File(folder.mined, "mine", partial(_mined, dataset), needed=True),
        _File(folder.lots, "push", lambda _: read_lots(folder), needed=_lost_boxes(folder)),
        _File(folder.plan, "push", _object, dispensable=True),
        _File(folder.sheets, "push", lambda _: stored_sheets(folder)),
        _File(folder.estimate, "push", _estimate, dispensable=True),
        _File(folder.push, "push", _push, needed=True),
        _File(folder.review, "push", _object, dispensable=True),
        _File(folder.root / "rehearsed.json", "push", read_json, dispensable=True),
    ]


def _lost_boxes(folder: RoundFolder) -> bool:
    try:
        return lost_boxes(folder) > 0
    except (SparseDetError, OSError):
        return False  # a finding of `push.json`


def _back_to(checked: Checked, folder: RoundFolder, step: str, lost: LostAndFound) -> str:
    """Set aside the results of a step and all later ones of an unfinished round."""
    first = _STEPS.index(step)
    files = [file for file in _files(checked, folder) if _STEPS.index(file.step) >= first]
    whole = {folder.run.root} if first <= _STEPS.index("train") else set[Path]()
    for path in dict.fromkeys([*whole, *(file.path for file in files)]):
        if path.exists() and path != folder.options:
            lost.take(path)
    return f"round {folder.number} set back to its step '{step}'"


def _set_aside(path: Path, lost: LostAndFound) -> str:
    lost.take(path)
    return f"{path.name} set aside; the round works without it"


def _object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise SparseDetError(f"{path}: not a JSON object")
    return content


def _known(path: Path) -> None:
    if not isinstance(_object(path).get("settled"), list):
        raise SparseDetError(f"{path}: no record of judged boxes")


def _train(dataset: Dataset | None, path: Path) -> None:
    """Read `train.json`, whose images are a subset of the pulled ones."""
    strange = {image.file_name for image in read_coco(path).images}
    if dataset is None:
        return
    strange -= {image.file_name for image in dataset.images}
    if strange:
        raise SparseDetError(
            f"{path}: {counted(len(strange), 'of its images is', 'of its images are')} not in "
            f"annotations.json (such as {min(strange)})"
        )


def _mined(dataset: Dataset | None, path: Path) -> None:
    if dataset is None:
        read_json(path)
    else:
        read_mined(path, dataset)


def _candidates(path: Path) -> None:
    from sparsedet.completeness.candidate_file import read_candidates

    read_candidates(path)


def _estimate(path: Path) -> None:
    content = _object(path)
    try:
        [float(content[name]) for name in ("share", "low", "high")]
    except (KeyError, TypeError, ValueError) as error:
        raise SparseDetError(f"{path}: invalid estimate ({error!r})") from error


def _push(path: Path) -> None:
    """Read from `push.json` what later rounds and a rebuilt ledger need."""
    content = _object(path)
    # A round with nothing to show pushes nothing, and only records that.
    if "model_version" not in content:
        if "mined" not in content:
            raise SparseDetError(f"{path}: no record of what was pushed")
        return
    for name, kinds in _PUSHED.items():
        if not isinstance(content.get(name), kinds):
            raise SparseDetError(f"{path}: no record of what was pushed ({name})")
    queue = content.get("queue") or []
    if not all(isinstance(one, dict) and isinstance(one.get(_OPENED), str) for one in queue):
        raise SparseDetError(f"{path}: invalid queue")


def _config(path: Path, *, whole: bool) -> None:
    """Check a run's configuration: its syntax, or with `whole` all keys, which takes detectron2."""
    if whole:
        from sparsedet.config.training_config import read_config

        read_config(path)
    elif not isinstance(read_yaml(path), dict):
        raise SparseDetError(f"{path}: no configuration")


def _model(path: Path, *, whole: bool) -> None:
    """Check a trained model: its archive, or with `whole` every byte of it."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip() if whole else None
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise SparseDetError(f"{path}: damaged model ({error})") from error
    if broken is not None:
        raise SparseDetError(f"{path}: damaged model ({broken})")
    if whole:
        from sparsedet.modeling.checkpoint import load

        load(path)

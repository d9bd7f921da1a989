"""Whether each round has the files that its state implies, and whether they can be read."""

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
from sparsedet.loop.lot_file import read_lots
from sparsedet.loop.round_sheets import stored_sheets
from sparsedet.loop.workspace import RoundFolder

_STEPS = "pull", "split", "train", "mine", "push"
"""In order; a round's own `next_step` is one of them."""
_PUSHED: dict[str, tuple[type, ...]] = {
    "model_version": (str,),
    "review_project": (str,),
    "place": (dict, type(None)),
    "skipped": (dict, list, type(None)),
    "gone": (list, type(None)),
    "withdrawn": (list, type(None)),
    "queue": (list, type(None)),
}
"""What `push.json` says of a push, and as what; older rounds lack some of it."""
_OPENED = "image_tool_id"


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a round."""

    path: Path
    step: str
    """The step that writes it."""
    read: Callable[[Path], object]
    """Raises what says why it can't be used."""
    needed: bool = False
    """A step is done when it is there."""
    dispensable: bool = False
    """Rounds do without it once they were pushed, or reading reviews makes it again."""


def check_numbers(checked: Checked) -> Iterator[Finding]:
    """Check that rounds are numbered from 1 on without gaps, each under its one name."""
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

    What a step left of the newest round, before its push, can be made again: the next
    `sparsedet round` does so once the file is out of the way.

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
            # Of the newest round the next step may just not be done.
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
    # What was asked of an open round is no step's work.
    if is_open and file.path != folder.options:
        repair = partial(_back_to, checked, folder, file.step)
        return Finding(kind, where, what, checked.command("round"), repair=repair)
    # What readers advise is meant for a round that is under way.
    what = what.partition("; remove it")[0]
    if file.dispensable:
        command = checked.command("review")
        return Finding(kind, where, what, command, "warning", partial(_set_aside, file.path))
    return Finding(kind, where, f"{what}; restore it from a backup")


def _files(checked: Checked, folder: RoundFolder) -> list[_File]:
    """Return the files that a round may have, in the order of its steps."""
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
        _File(run.training_data, "train", read_coco),
        _File(folder.evaluation, "mine", _object, dispensable=True),
        _File(folder.candidates, "mine", _candidates, dispensable=True),
        _File(folder.suspicions, "mine", read_suspicions, dispensable=True),
        _File(meta_path(folder.mined), "mine", _object, dispensable=True),
        _File(folder.mined, "mine", partial(_mined, dataset), needed=True),
        _File(folder.lots, "push", lambda _: read_lots(folder)),
        _File(folder.sheets, "push", lambda _: stored_sheets(folder)),
        _File(folder.estimate, "push", _estimate, dispensable=True),
        _File(folder.push, "push", _push, needed=True),
        _File(folder.review, "push", _object, dispensable=True),
        _File(folder.root / "rehearsed.json", "push", read_json, dispensable=True),
    ]


def _back_to(checked: Checked, folder: RoundFolder, step: str, lost: LostAndFound) -> str:
    """Set aside what a step and later ones of an unfinished round have left."""
    first = _STEPS.index(step)
    files = [file for file in _files(checked, folder) if _STEPS.index(file.step) >= first]
    whole = {folder.run.root} if first <= _STEPS.index("train") else set[Path]()
    for path in dict.fromkeys([*whole, *(file.path for file in files)]):
        if path.exists() and path != folder.options:
            lost.take(path)
    return f"round {folder.number} set back to its step '{step}'"


def _set_aside(path: Path, lost: LostAndFound) -> str:
    lost.take(path)
    return f"{path.name} set aside; the round does without it"


def _object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise SparseDetError(f"{path}: not a JSON object")
    return content


def _known(path: Path) -> None:
    if not isinstance(_object(path).get("settled"), list):
        raise SparseDetError(f"{path}: does not say which boxes were judged")


def _train(dataset: Dataset | None, path: Path) -> None:
    """Read `train.json`, whose images are some of those that were pulled."""
    strange = {image.file_name for image in read_coco(path).images}
    if dataset is None:
        return
    strange -= {image.file_name for image in dataset.images}
    if strange:
        raise SparseDetError(
            f"{path}: {len(strange)} of its images are not in annotations.json (such as "
            f"{min(strange)})"
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
        raise SparseDetError(f"{path}: no estimate ({error!r})") from error


def _push(path: Path) -> None:
    """Read `push.json`: what of it later rounds and a rebuilt ledger need."""
    content = _object(path)
    # A round without anything to show pushes nothing, and says only so.
    if "model_version" not in content:
        if "mined" not in content:
            raise SparseDetError(f"{path}: does not say what was pushed")
        return
    for name, kinds in _PUSHED.items():
        if not isinstance(content.get(name), kinds):
            raise SparseDetError(f"{path}: does not say what was pushed ({name})")
    queue = content.get("queue") or []
    if not all(isinstance(one, dict) and isinstance(one.get(_OPENED), str) for one in queue):
        raise SparseDetError(f"{path}: its queue can't be read")


def _model(path: Path, *, whole: bool) -> None:
    """Check a trained model: its archive, or with `whole` every byte of it."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip() if whole else None
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise SparseDetError(f"{path}: not a whole model ({error})") from error
    if broken is not None:
        raise SparseDetError(f"{path}: not a whole model ({broken} is damaged)")
    if whole:
        from sparsedet.modeling.checkpoint import load

        load(path)

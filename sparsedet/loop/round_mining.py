"""The mining of a round: candidates, their expected precision, and the boxes people see."""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import write_mined
from sparsedet.annotations.suspicions import write_suspicions
from sparsedet.completeness.assessment import Assessment
from sparsedet.completeness.candidate_file import CandidateFile, write_candidates
from sparsedet.completeness.expected_precision import EarlierRounds
from sparsedet.completeness.growth import with_growth
from sparsedet.completeness.object_count import Count
from sparsedet.completeness.proposals import Proposals, mine_proposals, proposals_meta
from sparsedet.config.training_config import read_config
from sparsedet.ledger import Ledger, as_mined
from sparsedet.loop.pulled_files import read_round
from sparsedet.loop.reviews import Say
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.settings import Settings
from sparsedet.loop.standing import assess_round, mined_on, selection_of
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import Progress
from sparsedet.wording import counted, first_of

_TELLING = 10
"""Minimum number of hidden annotations for a remark on how many of them were found."""
_WEAK = 0.5
"""Share of them below which it is made."""


def mine_round(
    workspace: Workspace,
    folder: RoundFolder,
    settings: Settings,
    *,
    device: str,
    say: Say,
    progress: Progress,
) -> None:
    """Mine with a round's model; writes `candidates.json`, `suspicions.json`, then `mined.json`.

    Args:
        workspace: the workspace with images and ledger.
        folder: the round's folder; its training has finished.
        settings: the workspace's settings.
        device: cpu or cuda.
        say: receives messages for the user.
        progress: called after every image.
    """
    dataset = read_round(folder)
    progress("mining", 0, len(dataset.images))
    with closing(Ledger(workspace.ledger)) as ledger:
        previous = _previous(workspace, folder, dataset, settings, ledger)
        missing = _missing(previous, workspace, folder, dataset, settings)
        earlier = EarlierRounds(
            previous.calibration if previous else None,
            missing,
            _unreviewed(previous, missing, ledger),
        )
        selection = selection_of(settings, ledger)
        # Objects that were decided, or left undecided, and still have no annotation.
        decided = (box for box in ledger.boxes() if box.is_reviewed or box.is_decided)
        seen = [box for box in decided if box.outcome != "rejected"]
        known = as_mined(seen, dataset)
    found = mine_proposals(
        folder.run,
        read_config(folder.run.config),
        dataset,
        workspace.images,
        device=device,
        selection=selection,
        earlier=earlier,
        settled=known,
        on_image=lambda done, total: progress("mining", done, total),
    )
    write_candidates(
        CandidateFile(
            run_id=folder.run.info().run_id,
            candidates=found.candidates,
            hidden=found.fitted.hidden,
            earlier=earlier,
            ratio=previous.carried_ratio if previous else None,
            audited=previous.audited if previous else 0,
            marking=previous.marking if previous else 0.0,
            embeddings=found.embeddings,
        ),
        folder.candidates,
    )
    write_suspicions(found.suspicions, folder.suspicions)
    write_mined(found.mined, proposals_meta(found, folder.run, dataset), folder.mined)
    names = {category.id: category.name for category in dataset.categories}
    say(mined_line(found, names))
    fitted = found.fitted
    if fitted.hidden >= _TELLING and fitted.seen < _WEAK:
        say(
            f"the model finds only about {fitted.seen:.0%} of the annotations that it was not "
            "trained on: a longer training (round --iterations) may find more; so may more "
            "annotations"
        )


def mined_line(found: Proposals, names: Mapping[int, str]) -> str:
    """Return how many boxes are mined and held back, in all and by class, for display.

    Args:
        found: the proposals.
        names: category id -> class name.
    """
    mined = Counter(box.category_id for box in found.mined)
    count, right = sum(found.held_back.values()), sum(found.held_back_right.values())
    parts = [
        f"mined {counted(len(found.mined), 'box')} not explained by an annotation"
        + _by_class(mined, names)
    ]
    if found.mined:
        least = min(box.expected_precision or 0.0 for box in found.mined)
        parts.append(f"each has an expected precision of {least:.2f} or more")
    parts.append(
        f"held back as less likely: {count}{_by_class(found.held_back, names)}, about {right:.0f} "
        "of them right"
    )
    return "; ".join(parts)


def _by_class(counts: Mapping[int, int], names: Mapping[int, str]) -> str:
    """Return the counts of several classes in brackets, the largest first."""
    if len(names) < 2 or not any(counts.values()):
        return ""
    largest = sorted((-count, names[number]) for number, count in counts.items() if count)
    return f" ({first_of(f'{name} {-count}' for count, name in largest)})"


def _previous(
    workspace: Workspace, folder: RoundFolder, dataset: Dataset, settings: Settings, ledger: Ledger
) -> Assessment | None:
    before = workspace.round(folder.number - 1)
    return assess_round(before, dataset, settings, ledger) if before.candidates.exists() else None


def _missing(
    previous: Assessment | None,
    workspace: Workspace,
    folder: RoundFolder,
    dataset: Dataset,
    settings: Settings,
) -> Count | None:
    """Return how many missing objects the previous round suggests for this one."""
    if previous is None:
        return None
    before = mined_on(workspace.round(folder.number - 1), dataset, settings)
    return with_growth(previous.missing, before, dataset)


def _unreviewed(previous: Assessment | None, missing: Count | None, ledger: Ledger) -> float:
    """Return the share of the missing objects on images without a review, 0 to 1."""
    if previous is None or missing is None:
        return 1.0
    reviewed = {work.tool_id for work in ledger.review_work()}
    there = sum(one.missing for one in previous.outlooks if one.image.tool_id in reviewed)
    return max(1 - there / max(missing.mean, 1e-9), 0.0)

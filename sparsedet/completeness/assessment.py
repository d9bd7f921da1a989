"""Where a set stands: how complete it is, and what every image is expected to lack."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparsedet.annotations import Dataset
from sparsedet.completeness.candidate_file import CandidateFile
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.estimate import (
    PRIOR_RATIO,
    Completeness,
    Ratio,
    estimate,
    remaining,
    updated_ratio,
)
from sparsedet.completeness.evidence import Found, read_evidence
from sparsedet.completeness.expected_missing import ExpectedMissing, expected_missing
from sparsedet.completeness.expected_precision import (
    Coefficients,
    ExpectedPrecision,
    carried,
    fit_expected_precision,
    seen_share,
)
from sparsedet.completeness.queue import Outlook, ShownBox
from sparsedet.completeness.selection import Selection
from sparsedet.mining.candidates import Candidates

_CARRIED_EVIDENCE = 0.5
"""What completed images said of one model's account holds for the next one's by so much."""
_SHOWN_WEIGHT = 0.5
"""What an object counts for the model's recall that was found with the help of its boxes."""


@dataclass(frozen=True)
class Assessment:
    """Where a set stands, by the candidates of one model and everything that reviews said."""

    completeness: Completeness
    outlooks: tuple[Outlook, ...]
    """Of every image that is not complete."""
    candidates: Candidates
    """Those that may still be missing."""
    fitted: ExpectedPrecision
    ratio: Ratio
    audited: int
    """Images of blind samples that were completed, in all rounds."""

    @property
    def earlier(self) -> Coefficients | None:
        """What the next model's calibration starts from; None: no candidate was judged."""
        return carried(self.fitted) if self.fitted.judged else None

    @property
    def carried_ratio(self) -> Ratio:
        """What holds for the next model's candidates."""
        prior, share = PRIOR_RATIO, _CARRIED_EVIDENCE
        return Ratio(
            prior.shape + share * (self.ratio.shape - prior.shape),
            prior.rate + share * (self.ratio.rate - prior.rate),
        )

    def until(self, share: float, costs: ReviewCosts) -> tuple[int, float]:
        """Return how many images, and seconds of review, bring the set to a share of objects."""
        wanted = share * (self.completeness.boxes + self.completeness.missing)
        boxes, images, seconds = float(self.completeness.boxes), 0, 0.0
        for outlook in sorted(self.outlooks, key=lambda outlook: -outlook.rate(costs)):
            if boxes >= wanted:
                break
            boxes += outlook.missing
            seconds += outlook.seconds(costs)
            images += 1
        return images, seconds


def assess(
    content: CandidateFile,
    before: Dataset,
    now: Dataset,
    *,
    outcomes: Mapping[int, bool | None],
    audit: Collection[int],
    selection: Selection,
) -> Assessment:
    """Return where a set stands after reviews of a model's candidates, or before any.

    Args:
        content: the candidates.
        before: the annotations on which they were found.
        now: the annotations with what reviewers said since; images have the ids of `before`.
        outcomes: index among the candidates on no hidden annotation -> what reviewers made of it;
            see `read_evidence`.
        audit: ids of the images of the blind sample.
        selection: what reviewers would be shown.
    """
    unknown = content.candidates.unknown
    evidence = read_evidence(before, now, unknown, outcomes, audit)
    fitted = fit_expected_precision(
        content.candidates,
        [category.id for category in before.categories],
        hidden=content.hidden,
        judged=evidence.judged if len(evidence.judged.candidates) else None,
        earlier=content.earlier,
    )
    fitted = replace(fitted, seen=_seen(content, evidence.found))
    expected = expected_missing(before, unknown, fitted)
    ratio = updated_ratio(evidence.found, expected, content.ratio or PRIOR_RATIO)
    left = remaining(expected, now, unknown, fitted, evidence)
    open_candidates = unknown.select(evidence.open)
    audited = content.audited + sum(found.audit for found in evidence.found)
    completeness = estimate(now, left, ratio, open_candidates, fitted, audited=audited)
    return Assessment(
        completeness,
        tuple(_outlooks(now, left, ratio, open_candidates, fitted, selection)),
        open_candidates,
        fitted,
        ratio,
        audited,
    )


def _seen(content: CandidateFile, found: Sequence[Found]) -> float:
    """Return the share of objects among the candidates, by hidden annotations and found objects.

    Hidden annotations alone would be too optimistic: what people drew first is what is easy to see.
    """
    weights = [1.0 if image.audit else _SHOWN_WEIGHT for image in found]
    return seen_share(
        content.candidates,
        content.hidden,
        found=sum(w * image.among_candidates for w, image in zip(weights, found, strict=True)),
        objects=sum(w * image.objects for w, image in zip(weights, found, strict=True)),
    )


def _outlooks(
    now: Dataset,
    left: ExpectedMissing,
    ratio: Ratio,
    candidates: Candidates,
    fitted: ExpectedPrecision,
    selection: Selection,
) -> Sequence[Outlook]:
    chances, object_chances = fitted.of(candidates), fitted.of_object(candidates)
    shown: dict[int, list[ShownBox]] = {}
    for row in np.flatnonzero(selection.shows(chances, object_chances)).tolist():
        box = ShownBox(float(chances[row]), float(object_chances[row]))
        shown.setdefault(int(candidates.image_ids[row]), []).append(box)
    return [
        Outlook(image, ratio.mean * left.by_image[image.id], tuple(shown.get(image.id, ())))
        for image in now.images
        if image.id in left.by_image
    ]

"""Assess a set: how complete it is, and what each image is expected to lack."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparsedet.annotations import Dataset
from sparsedet.completeness.candidate_file import CandidateFile
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.estimate import (
    Completeness,
    Missing,
    estimate,
    only_candidates,
    remaining,
)
from sparsedet.completeness.evidence import Found, read_evidence
from sparsedet.completeness.expected_missing import expected_missing, still_open
from sparsedet.completeness.expected_precision import (
    ExpectedPrecision,
    carried,
    fit_expected_precision,
    seen_share,
)
from sparsedet.completeness.object_count import Count
from sparsedet.completeness.precision_likelihood import Coefficients
from sparsedet.completeness.queue import Outlook, ShownBox, plan_queue
from sparsedet.completeness.ratio import (
    PRIOR_RATIO,
    Ratio,
    doubtful_share,
    leftover_ratio,
    updated_ratio,
    with_doubt,
)
from sparsedet.completeness.selection import Selection
from sparsedet.completeness.unmarked import NOWHERE, BoxesOnly, marking_rate, with_unmarked
from sparsedet.mining.candidates import Candidates

_CARRIED_EVIDENCE = 0.5
"""Weight of completed images' findings about one model when the next model is assessed."""
_SHOWN_WEIGHT = 0.5
"""Weight, in the model's recall, of an object that was found with the help of its boxes."""


@dataclass(frozen=True)
class Assessment:
    """The completeness of a set, by one model's candidates and all reviews."""

    completeness: Completeness
    outlooks: tuple[Outlook, ...]
    """For every image that is not complete."""
    candidates: Candidates
    """Candidates that may still be missing objects."""
    fitted: ExpectedPrecision
    ratio: Ratio
    """Of found to expected objects, without what this model's certainty adds."""
    audited: int
    """Number of completed blind-sample images, over all rounds."""
    marking: float
    """See `marking_rate`."""
    missing: Count | None
    """Expected missing objects among the next model's candidates; None: none are expected."""
    embeddings: Mapping[int, Sequence[float]]
    """Image id -> the model's embedding of the image, where known."""

    @property
    def calibration(self) -> Coefficients | None:
        """Prior for the next model's calibration; None: no candidate was judged."""
        return carried(self.fitted) if self.fitted.judged else None

    @property
    def carried_ratio(self) -> Ratio:
        """Ratio to use for the next model's candidates."""
        prior, share = PRIOR_RATIO, _CARRIED_EVIDENCE
        return Ratio(
            prior.shape + share * (self.ratio.shape - prior.shape),
            prior.rate + share * (self.ratio.rate - prior.rate),
        )

    def until(self, share: float, costs: ReviewCosts, *, sheets: bool = False) -> tuple[int, float]:
        """Return how many images, and seconds of review, it takes to reach a share of objects.

        Args:
            share: of the objects, 0 to 1.
            costs: review costs.
            sheets: see `plan_queue`; a contact sheet counts as one image.
        """
        wanted = self.wanted_for(share)
        found, pages, seconds = 0.0, 0.0, 0.0
        for entry in plan_queue(self.outlooks, costs, wanted=wanted, sheets=sheets):
            if found >= wanted:
                break
            found += entry.expected
            seconds += entry.seconds
            pages += entry.pages
        return math.ceil(pages), seconds

    def wanted_for(self, share: float) -> float:
        """Return how many missing objects need a box to reach a share of the objects."""
        boxes, missing = self.completeness.boxes, self.completeness.missing
        return max(share * (boxes + missing) - boxes, 0.0)


def assess(
    content: CandidateFile,
    before: Dataset,
    now: Dataset,
    *,
    outcomes: Mapping[int, bool | None],
    audit: Collection[int],
    boxes_only: BoxesOnly = NOWHERE,
    selection: Selection,
) -> Assessment:
    """Assess a set after reviews of a model's candidates, or before any.

    Args:
        content: the candidates.
        before: the annotations on which they were found.
        now: the current annotations, with reviews applied; images have the ids of `before`.
        outcomes: index among the candidates on no hidden annotation -> reviewers' decision; see
            `read_evidence`.
        audit: ids of the blind sample's images.
        boxes_only: ids of images on which people were not asked to draw.
        selection: which candidates reviewers would see.
    """
    unknown = content.candidates.unknown
    evidence = read_evidence(before, now, unknown, outcomes, audit, boxes_only.asked)
    fitted = fit_expected_precision(
        content.candidates,
        [category.id for category in before.categories],
        hidden=content.hidden,
        annotated=sum(not box.iscrowd for box in before.boxes),
        judged=evidence.judged if len(evidence.judged.candidates) else None,
        earlier=content.earlier,
    )
    fitted = replace(fitted, seen=_seen(content, evidence.found))
    expected = expected_missing(before, unknown, fitted)
    expected = with_unmarked(expected, boxes_only.before, content.marking)
    ratio = updated_ratio(evidence.found, expected, content.ratio or PRIOR_RATIO)
    left = remaining(expected, unknown, fitted, evidence, still_open(before, now))
    open_candidates = unknown.select(evidence.open)
    own_ratio = with_doubt(ratio, doubtful_share(left, open_candidates, fitted))
    complete = {image.id for image in now.images if now.is_complete(image)}
    marking = content.marking
    if boxes_only.judged:
        marking = marking_rate(left.by_image, boxes_only.judged, boxes_only.judged & complete)
        left = with_unmarked(left, boxes_only.judged, marking)
    not_shown = np.array([row not in outcomes for row in range(len(unknown))], dtype=bool)
    leftover = leftover_ratio(evidence.found, only_candidates(expected, unknown, fitted, not_shown))
    open_images = {image.id for image in now.images} - complete
    judged = boxes_only.judged | boxes_only.unopened
    missing = Missing.of(
        (left.of(open_images - judged), own_ratio),
        (left.of(open_images & judged), leftover),
    )
    if content.earlier.missing is not None:
        missing = missing.with_earlier(content.earlier.missing, evidence.added)
    audited = content.audited + sum(found.audit for found in evidence.found)
    completeness = estimate(now, missing, open_candidates, fitted, audited=audited)
    return Assessment(
        completeness,
        tuple(_outlooks(now, missing.by_image, open_candidates, fitted, selection)),
        open_candidates,
        fitted,
        ratio,
        audited,
        marking,
        missing.count,
        content.embeddings,
    )


def _seen(content: CandidateFile, found: Sequence[Found]) -> float:
    """Return the share of objects among the candidates, by hidden annotations and found objects.

    Hidden annotations alone would be too optimistic: people draw easy objects first.
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
    missing: Mapping[int, float],
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
        Outlook(image, missing[image.id], tuple(shown.get(image.id, ())))
        for image in now.images
        if image.id in missing
    ]

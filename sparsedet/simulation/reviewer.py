"""The scripted reviewer: knows the truth, and errs as often as people do."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import XYXY, Box, Dataset, Image
from sparsedet.errors import SparseDetError
from sparsedet.reviews import ReviewedRegion
from sparsedet.seeds import stable_rank
from sparsedet.simulation.truth import TrueObject, missing_objects, review_regions, true_objects

_MAX_DEVIATIONS = 2.0
"""Edges off by more standard deviations than this would be redrawn by any person."""
MAX_JITTER = 0.2
"""Edges move by at most two standard deviations: up to this value a box keeps an area."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A reviewer's error rates and speed; the default makes no errors.

    Raises:
        SparseDetError: naming the first value out of range.
    """

    misses: float = 0.0
    """Probability of keeping a mined box that is wrong, or of a wrong class, 0 to 1."""
    wrong_clicks: float = 0.0
    """Probability of deleting a right mined box, 0 to 1."""
    jitter: float = 0.0
    """Standard deviation of each edge of a corrected or drawn box, relative to the object's width
    or height, 0 to `MAX_JITTER`."""
    draw_share: float = 1.0
    """Probability of noticing and drawing an object without a box, 0 to 1."""
    seconds_per_image: float = 2.0
    """Seconds to open an image."""
    seconds_per_box: float = 0.7
    """Seconds to check a mined box; people's own boxes take none."""
    seconds_per_action: float = 2.5
    """Additional seconds to correct or delete a mined box; keeping one takes none."""
    seconds_per_drawn_box: float = 7.0
    """Seconds to draw a missing box: 7 by extreme clicking.

    Papadopoulos, Uijlings, Keller, Ferrari: Extreme clicking for efficient object annotation,
    ICCV 2017.
    """

    def __post_init__(self) -> None:
        for name, most in (
            ("misses", 1.0),
            ("wrong_clicks", 1.0),
            ("jitter", MAX_JITTER),
            ("draw_share", 1.0),
        ):
            value = getattr(self, name)
            if not 0 <= value <= most:  # also refuses nan
                raise SparseDetError(f"{name} is {value}, expected a share from 0 to {most:g}")
        for name in (
            "seconds_per_image",
            "seconds_per_box",
            "seconds_per_action",
            "seconds_per_drawn_box",
        ):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise SparseDetError(f"{name} is {value}, expected seconds, 0 or more")


FAULTLESS = Behaviour()
"""A reviewer who makes no errors."""


@dataclass(frozen=True, slots=True)
class Review:
    """The review of one image."""

    regions: tuple[ReviewedRegion, ...]
    """The remaining boxes, in the order shown; then the drawn ones."""
    complete: bool
    """Whether the reviewer marks the image as complete."""
    seconds: float
    """Time in seconds."""
    accepted: int
    """Mined boxes left unchanged, including overlooked ones."""
    edited: int
    """Mined boxes that were moved or relabelled."""
    rejected: int
    """Mined boxes that were deleted."""
    unsure: int
    """Mined boxes that were left undecided."""
    drawn: int
    """Missing boxes that were drawn."""

    @property
    def boxes(self) -> int:
        """Number of shown mined boxes."""
        return self.accepted + self.edited + self.rejected + self.unsure


class Reviewer:
    """A reviewer with full annotations.

    The decision on a mined box depends only on its image, the behaviour, the seed and its region
    id; whether a missing object is drawn only on its image, the seed and the object. The order of
    images and boxes doesn't matter.

    Args:
        truth: the full annotations.
        neutral: objects on the images of `truth` without a label. The reviewer doesn't decide
            whether they count: a mined box on one is left unsure, none is drawn, and an image is
            complete without them.
        behaviour: error rates and speed.
        seed: of the errors.
    """

    def __init__(
        self,
        truth: Dataset,
        neutral: Sequence[Box] = (),
        behaviour: Behaviour = FAULTLESS,
        seed: int = 1,
    ) -> None:
        self.images: Mapping[str, Image] = {image.file_name: image for image in truth.images}
        self.labels = frozenset(category.name for category in truth.categories)
        self.behaviour = behaviour
        self.seed = seed
        self._objects = true_objects(truth)
        self._neutral = true_objects(truth.with_boxes(neutral))

    def review(
        self,
        file_name: str,
        regions: Sequence[ReviewedRegion],
        scores: Mapping[str, float],
        *,
        judge_only: bool = False,
    ) -> Review:
        """Review an image: judge its mined boxes, then draw objects without a certain box.

        A second call with the same arguments returns the same.

        Args:
            file_name: the image's name in the full annotations.
            regions: all shown boxes, people's and mined ones.
            scores: region id -> score of mined boxes.
            judge_only: don't draw.

        Raises:
            SparseDetError: when the full annotations don't have the image.
        """
        if file_name not in self.images:
            raise SparseDetError(f"the full annotations have no image {file_name}")
        image = self.images[file_name]
        objects, neutral = self._objects[file_name], self._neutral[file_name]
        right = review_regions(regions, scores, objects, neutral)
        faultless = {region.region_id: region for region in right if region.region_id in scores}
        kept: list[ReviewedRegion] = []
        overlooked: list[ReviewedRegion] = []
        accepted = edited = rejected = unsure = 0
        for region in regions:
            if region.region_id not in scores:
                kept.append(region)
                continue
            final = self._decide(region, faultless.get(region.region_id), image)
            if final is None:
                rejected += 1
                continue
            kept.append(final)
            if region.region_id not in faultless:
                overlooked.append(final)
            if final.unsure:
                unsure += 1
            elif final != region:
                edited += 1
            else:
                accepted += 1
        left = {region.region_id for region in kept}
        # By the intended boxes: nobody draws an object twice because of a shaky hand.
        meant = [region for region in right if region.region_id in left]
        missing = missing_objects([*meant, *overlooked], objects)
        taken = {*scores, *(region.region_id for region in regions)}
        drawn = [] if judge_only else self._draw(missing, image, taken)
        shown = accepted + edited + rejected + unsure
        behaviour = self.behaviour
        return Review(
            regions=(*kept, *drawn),
            complete=len(drawn) == len(missing),
            seconds=behaviour.seconds_per_image
            + behaviour.seconds_per_box * shown
            + behaviour.seconds_per_action * (edited + rejected)
            + behaviour.seconds_per_drawn_box * len(drawn),
            accepted=accepted,
            edited=edited,
            rejected=rejected,
            unsure=unsure,
            drawn=len(drawn),
        )

    def _decide(
        self, shown: ReviewedRegion, faultless: ReviewedRegion | None, image: Image
    ) -> ReviewedRegion | None:
        """Return a mined box as the reviewer leaves it; None deletes it.

        Args:
            shown: the box as shown.
            faultless: the correct result; None: deleted.
            image: the image it is on.
        """
        draws = np.random.default_rng(stable_rank(self.seed, shown.region_id))
        chance, shaking = draws.random(), draws.standard_normal(4)
        if faultless is None or faultless.category != shown.category:
            overlooked = chance < self.behaviour.misses
            return replace(shown, unsure=False) if overlooked else faultless
        if faultless.unsure:
            return faultless
        if faultless.xyxy != shown.xyxy:
            return replace(faultless, xyxy=self._placed(faultless.xyxy, shaking, image))
        return None if chance < self.behaviour.wrong_clicks else faultless

    def _draw(
        self, missing: Sequence[TrueObject], image: Image, taken: Set[str]
    ) -> list[ReviewedRegion]:
        """Return new boxes on the missing objects that the reviewer notices.

        Args:
            missing: objects of the image without a box.
            image: the image.
            taken: region ids in use.
        """
        drawn: list[ReviewedRegion] = []
        for thing in missing:
            identity = image.file_name, thing.category, *(str(float(edge)) for edge in thing.xyxy)
            draws = np.random.default_rng(stable_rank(self.seed, *identity))
            chance, shaking = draws.random(), draws.standard_normal(4)
            if chance >= self.behaviour.draw_share:
                continue
            region_id = _free_id(
                f"drawn-{stable_rank(0, *identity):016x}",
                taken | {region.region_id for region in drawn},
            )
            xyxy = self._placed(thing.xyxy, shaking, image)
            drawn.append(ReviewedRegion(region_id, thing.category, xyxy))
        return drawn

    def _placed(self, xyxy: XYXY, shaking: NDArray[np.float64], image: Image) -> XYXY:
        """Return the reviewer's box for an object: with jitter, inside the image.

        Args:
            xyxy: of the object, in absolute pixels.
            shaking: a standard normal number for each edge.
            image: the image it is on.
        """
        moves = np.clip(shaking, -_MAX_DEVIATIONS, _MAX_DEVIATIONS) * self.behaviour.jitter
        return _shaken(xyxy, moves.tolist(), image)


def _free_id(region_id: str, taken: Set[str]) -> str:
    """Return the id, with a number appended if it is in use."""
    names = (region_id if number == 1 else f"{region_id}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)


def _shaken(xyxy: XYXY, moves: Sequence[float], image: Image) -> XYXY:
    """Return a box with edges moved relative to its width or height, inside the image."""
    left, top, right, bottom = xyxy
    width, height = right - left, bottom - top
    return (
        max(left + moves[0] * width, 0.0),
        max(top + moves[1] * height, 0.0),
        min(right + moves[2] * width, float(image.width)),
        min(bottom + moves[3] * height, float(image.height)),
    )

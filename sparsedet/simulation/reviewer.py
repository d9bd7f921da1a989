"""The scripted reviewer: right by the truth, wrong as often as people are."""

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
"""Edges that are off by more standard deviations than that are drawn again by any person."""
MAX_JITTER = 0.2
"""Edges move by at most two standard deviations: up to here a box keeps an area."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The faults and the speed of a reviewer; the default makes no mistakes.

    Raises:
        SparseDetError: naming the first value that is out of its range.
    """

    misses: float = 0.0
    """Probability that a mined box that is wrong, or of a wrong class, stays as it is, 0 to 1."""
    wrong_clicks: float = 0.0
    """Probability that a right mined box is deleted, 0 to 1."""
    jitter: float = 0.0
    """Standard deviation of each edge of a corrected or drawn box, as a share of the object's width
    or height, 0 to `MAX_JITTER`."""
    draw_share: float = 1.0
    """Probability that an object without a box is noticed and drawn, 0 to 1."""
    seconds_per_image: float = 2.0
    """Time to open an image."""
    seconds_per_box: float = 0.7
    """Time to look at a mined box; people's own boxes take none."""
    seconds_per_action: float = 2.5
    """Time to correct or delete a mined box, on top; keeping one takes none."""
    seconds_per_drawn_box: float = 7.0
    """Time to draw a missing box: 7 s by extreme clicking.

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
            if not 0 <= value <= most:  # refuses nan, too
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
"""A reviewer who makes no mistakes."""


@dataclass(frozen=True, slots=True)
class Review:
    """What the reviewer makes of one image."""

    regions: tuple[ReviewedRegion, ...]
    """The boxes that remain, in the order in which they were shown; then the drawn ones."""
    complete: bool
    """The reviewer says that every object of the image has a box."""
    seconds: float
    """The time that it took."""
    accepted: int
    """Mined boxes left as they are, the overlooked ones among them."""
    edited: int
    """Mined boxes that were moved, or given another class."""
    rejected: int
    """Mined boxes that were deleted."""
    unsure: int
    """Mined boxes that were left undecided."""
    drawn: int
    """Missing boxes that were drawn."""

    @property
    def boxes(self) -> int:
        """Mined boxes that were shown."""
        return self.accepted + self.edited + self.rejected + self.unsure


class Reviewer:
    """A reviewer who knows the full annotations.

    What becomes of a mined box depends on its image, the behaviour, the seed and its region id
    alone, and whether a missing object is drawn on its image, the seed and the object alone; not on
    the order of images and boxes.

    Args:
        truth: the full annotations.
        neutral: objects on the images of `truth` that its labels lack. Whether they count is not
            the reviewer's to say: a mined box that fits one is left unsure, none is drawn, and an
            image is complete without them.
        behaviour: faults and speed.
        seed: of the faults.
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
        """Review an image: judge its mined boxes, then draw what no sure box shows.

        A second call with the same arguments returns the same.

        Args:
            file_name: the image's name in the full annotations.
            regions: all boxes that are shown, people's and mined ones.
            scores: region id -> score, of the mined ones.
            judge_only: leave it at judging.

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
        # As they were meant: nobody draws an object for the second time because the hand shook.
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
            shown: the box as it was shown.
            faultless: as it should be left; None where it should be deleted.
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
        """Return new boxes on those of the missing objects that the reviewer notices.

        Args:
            missing: objects of the image that have no box.
            image: the image.
            taken: region ids that a new box must not have.
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
        """Return the box that the reviewer puts on an object: with jitter, inside the image.

        Args:
            xyxy: of the object, in absolute pixels.
            shaking: a standard normal number for each edge.
            image: the image it is on.
        """
        moves = np.clip(shaking, -_MAX_DEVIATIONS, _MAX_DEVIATIONS) * self.behaviour.jitter
        return _shaken(xyxy, moves.tolist(), image)


def _free_id(region_id: str, taken: Set[str]) -> str:
    """Return the id, with a number where it is taken."""
    names = (region_id if number == 1 else f"{region_id}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)


def _shaken(xyxy: XYXY, moves: Sequence[float], image: Image) -> XYXY:
    """Return a box with its edges moved by shares of its width or height, inside the image."""
    left, top, right, bottom = xyxy
    width, height = right - left, bottom - top
    return (
        max(left + moves[0] * width, 0.0),
        max(top + moves[1] * height, 0.0),
        min(right + moves[2] * width, float(image.width)),
        min(bottom + moves[3] * height, float(image.height)),
    )

"""The current estimate of what a workspace's annotations lack, from files and the ledger.

Sends no request to the annotation tool: works on the annotations of the newest pull and the
ledger's reviews.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import count

from sparsedet.annotations import Box, Category, Dataset, write_coco
from sparsedet.annotations.mined_boxes import region_id
from sparsedet.atomic_io import write_json
from sparsedet.completeness.assessment import Assessment, assess
from sparsedet.completeness.candidate_file import CandidateFile, read_candidates
from sparsedet.completeness.costs import ReviewCosts, estimated_costs, with_undecided
from sparsedet.completeness.selection import Selection
from sparsedet.completeness.unmarked import BoxesOnly
from sparsedet.ledger import Ledger
from sparsedet.loop.feedback import with_feedback
from sparsedet.loop.pulled_files import read_pulled, read_round
from sparsedet.loop.reimports import with_present_ids
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.settings import Settings
from sparsedet.loop.workspace import Workspace
from sparsedet.reviews import AnnotationRule
from sparsedet.wording import counted

_DOUBT = 0.2
"""Training ignores a region from this chance of an object on. Ignoring true background costs
little, as there is plenty; an object used as background teaches the model to miss it."""


def write_estimate(workspace: Workspace, settings: Settings, ledger: Ledger) -> None:
    """Write the current completeness into the newest round that has mined, if there is one.

    `read_status` reads it. If a pushed round lost its candidates, those of an earlier one are used;
    the estimates of earlier rounds are a record, and stay as they are.
    """
    rounds = workspace.all_rounds()
    mined = [folder for folder in rounds if folder.candidates.exists()]
    if not mined:
        return
    folder = mined[-1]
    newest = next(one for one in reversed(rounds) if one is folder or one.push.exists())
    present = present_annotations(workspace, settings.source.annotations, ledger)
    found = assess_round(folder, present, settings, ledger)
    images, seconds = found.until(
        settings.rounds.stop_at,
        review_costs(settings, ledger),
        sheets=settings.review.mode == "auto",
    )
    write_json(
        newest.estimate,
        {
            **asdict(found.completeness),
            "share": found.completeness.share,
            "low": found.completeness.low,
            "high": found.completeness.high,
            "stop_at": settings.rounds.stop_at,
            "images_to_stop": images,
            "seconds_to_stop": seconds,
            "text": _in_words(found, settings, images, seconds),
        },
        indent=1,
    )


def _in_words(found: Assessment, settings: Settings, images: int, seconds: float) -> str:
    """Return an estimate in words, with the effort to reach `rounds.stop_at`."""
    text, goal = found.completeness.sentence(), settings.rounds.stop_at
    if found.completeness.share < goal:
        minutes = max(round(seconds / 60), 1)
        more = "1 image" if images == 1 else f"some {images} images"
        text += f"; for {goal:.0%} {more}, {counted(minutes, 'minute')} of review"
    return text


def review_costs(settings: Settings, ledger: Ledger) -> ReviewCosts:
    """Return review costs, from the settings and the times of the reviews so far."""
    configured = ReviewCosts(**settings.review.costs.model_dump())
    reviewed = ledger.reviewed_boxes()
    return with_undecided(
        estimated_costs(ledger.review_work(), configured),
        deleted=[box.chance for box in reviewed if box.outcome == "rejected"],
        undecided=[box.chance for box in reviewed if not box.is_judged],
        reviewed=len(reviewed),
    )


def selection_of(settings: Settings, ledger: Ledger) -> Selection:
    """Return which candidates reviewers see, from the settings and review costs."""
    return Selection(review_costs(settings, ledger), settings.mining.target_precision or None)


def assess_round(
    folder: RoundFolder, now: Dataset, settings: Settings, ledger: Ledger
) -> Assessment:
    """Return the completeness of annotations, by a round's candidates.

    Args:
        folder: the round's folder, which has mined.
        now: the current annotations.
        settings: the workspace's settings.
        ledger: the ledger with the reviews.
    """
    content, before = read_candidates(folder.candidates), mined_on(folder, now, settings)
    present = with_ids_of(before, now)
    ids = {image.tool_id: image.id for image in before.images}
    audit = {
        ids[row.image_tool_id]
        for push in ledger.pushes()
        if push.round == folder.number
        for row in ledger.queued(push)
        if row.audit and row.image_tool_id in ids
    }
    return assess(
        content,
        before,
        present,
        outcomes=_outcomes(content, before, ledger),
        audit=audit,
        boxes_only=_boxes_only(folder.number, ids, ledger),
        selection=selection_of(settings, ledger),
    )


def mined_on(folder: RoundFolder, now: Dataset, settings: Settings) -> Dataset:
    """Return the annotations that a round mined on.

    Images imported again since have the tool ids of `now`, and renamed labels their new names, as
    in the ledger.
    """
    images = Workspace(folder.root.parent.parent).images
    before = with_present_ids(read_round(folder), now, images)
    return replace(before, categories=_renamed(before.categories, settings.labels.rename))


def _renamed(categories: Sequence[Category], names: Mapping[str, str]) -> tuple[Category, ...]:
    """Return categories with their new names; of several that became one, the first has its name.

    Args:
        categories: of a round.
        names: see `LabelSettings`.
    """
    taken = {category.name for category in categories if not names.get(category.name)}
    found = []
    for category in categories:
        name = names.get(category.name)
        if name and name not in taken:
            taken.add(name)
            category = replace(category, name=name)
        found.append(category)
    return tuple(found)


def _boxes_only(round: int, ids: Mapping[str | None, int], ledger: Ledger) -> BoxesOnly:
    """Return the images on which people were not asked to draw, by image id in the round.

    Args:
        round: the round's number.
        ids: tool id -> image id.
        ledger: the ledger with queues and reviews.
    """
    asked: dict[int, set[str]] = {}
    for push in ledger.pushes():
        rows = ledger.queued(push)
        asked.setdefault(push.round or 0, set()).update(
            row.image_tool_id for row in rows if row.judge_only
        )
    reviewed: dict[int, set[str]] = {}
    unopened: dict[int, set[str]] = {}
    for work in ledger.review_work():
        group = unopened if work.partial else reviewed
        group.setdefault(work.round or 0, set()).add(work.tool_id)
    judged = {number: names & reviewed.get(number, set()) for number, names in asked.items()}
    # Nothing can be excluded before the first review, and large projects have many boxes.
    for box in ledger.boxes() if any(judged.values()) else ():
        if box.is_held:
            # Nobody marks an image as complete if it hides boxes of a lot.
            judged.get(box.push.round or 0, set()).discard(box.image_tool_id)
    before = {name for number, names in judged.items() if number < round for name in names}

    def known(names: Iterable[str]) -> frozenset[int]:
        return frozenset(ids[name] for name in names if name in ids)

    return BoxesOnly(
        asked=known(asked.get(round, ())),
        judged=known(judged.get(round, ())),
        before=known(before),
        unopened=known(unopened.get(round, set()) - reviewed.get(round, set())),
    )


def doubtful(found: Assessment, before: Dataset, now: Dataset) -> tuple[Box, ...]:
    """Return regions with possible unjudged objects, as boxes on the images of `now`.

    Args:
        found: the assessment.
        before: the images that its candidates refer to.
        now: the images of the next training; other images are left out.
    """
    candidates = found.candidates
    candidates = candidates.select(found.fitted.of_object(candidates) >= _DOUBT)
    images = {image.tool_id or image.file_name: image for image in now.images}
    keys = {image.id: image.tool_id or image.file_name for image in before.images}
    names = {category.id: category.name for category in before.categories}
    categories = {category.name: category.id for category in now.categories}
    boxes = (
        Box(
            0,
            images[keys[image_id]].id,
            categories[names[category_id]],
            (left, top, right, bottom),
        )
        for image_id, category_id, (left, top, right, bottom) in zip(
            candidates.image_ids.tolist(),
            candidates.category_ids.tolist(),
            candidates.boxes.tolist(),
            strict=True,
        )
        if keys[image_id] in images and names[category_id] in categories
    )
    return tuple(
        box for box in boxes if not now.image_by_id[box.image_id].is_complete(box.category_id)
    )


def with_ids_of(before: Dataset, now: Dataset) -> Dataset:
    """Return `now` with the image and category ids of `before`.

    Images only in `now` get new ids. Boxes of classes only in `now` are left out.
    """
    images = {image.tool_id or image.file_name: image.id for image in before.images}
    names = {category.name: category.id for category in before.categories}
    taken = set(images.values())
    fresh = (id for id in count(1) if id not in taken)
    keys = {image.id: image.tool_id or image.file_name for image in now.images}
    image_ids = {id: images[key] if key in images else next(fresh) for id, key in keys.items()}
    category_ids = {c.id: names[c.name] for c in now.categories if c.name in names}

    def present(boxes: Iterable[Box]) -> tuple[Box, ...]:
        return tuple(
            replace(
                box, image_id=image_ids[box.image_id], category_id=category_ids[box.category_id]
            )
            for box in boxes
            if box.category_id in category_ids
        )

    return replace(
        now,
        images=tuple(
            replace(
                image,
                id=image_ids[image.id],
                complete_classes=frozenset(
                    category_ids[id] for id in image.complete_classes if id in category_ids
                ),
            )
            for image in now.images
        ),
        boxes=present(now.boxes),
        verified_negatives=present(now.verified_negatives),
        categories=before.categories,
    )


def present_annotations(
    workspace: Workspace,
    rule: AnnotationRule,
    ledger: Ledger,
    take_review: Collection[str] = (),
) -> Dataset:
    """Return the annotations of the newest pull with all reviews of the ledger.

    Args:
        workspace: the workspace.
        rule: how to combine parallel reviews.
        ledger: the ledger.
        take_review: tool ids of images on which reviews win conflicts.
    """
    pulled = read_pulled(workspace)
    reviewed = [image for source in ledger.sources() for image in ledger.image_reviews(source)]
    return with_feedback(pulled, ledger.boxes(), reviewed, rule, take_review).dataset


def apply_reviews(
    workspace: Workspace, rule: AnnotationRule, ledger: Ledger, take_review: Collection[str] = ()
) -> None:
    """Write the present annotations to the workspace, if it has any, before a merge is recorded.

    Afterwards, the ledger would take merged boxes that an older pull lacks for deleted ones.

    Args:
        workspace, rule, ledger, take_review: see `present_annotations`.
    """
    if workspace.annotations.exists():
        present = present_annotations(workspace, rule, ledger, take_review)
        write_coco(present, workspace.annotations)


def _outcomes(
    content: CandidateFile, dataset: Dataset, ledger: Ledger
) -> Mapping[int, bool | None]:
    """Return reviewers' decisions on the candidates they were shown, by index."""
    said = {
        box.region_id: (box.final_category == box.category if box.is_judged else None)
        for box in ledger.reviewed_boxes()
    }
    if not said:
        return {}
    unknown = content.candidates.unknown
    names = {image.id: image.file_name for image in dataset.images}
    outcomes: dict[int, bool | None] = {}
    for row, (image_id, category_id, xyxy) in enumerate(
        zip(
            unknown.image_ids.tolist(),
            unknown.category_ids.tolist(),
            unknown.boxes.tolist(),
            strict=True,
        )
    ):
        id = region_id(content.run_id, names[image_id], category_id, tuple(xyxy))
        if id in said:
            outcomes[row] = said[id]
    return outcomes

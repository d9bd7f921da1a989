"""Complete classes: unlabelled regions are none of them, in every method and role."""

from typing import Any

import pytest
import torch
from detectron2.structures import Instances
from detectron2.utils.events import EventStorage

from sparsedet.modeling.complete_classes import none_of_loss
from sparsedet.modeling.pseudo_positives import (
    ConfidentDetectionRule,
    merge_confident_detections,
    split_off_absent,
)
from sparsedet.modeling.targets import Role, split_targets
from sparsedet.modeling.verified_negatives import not_class_loss
from tests.modeling.steps import (
    CAT,
    DOG,
    ELSEWHERE,
    LABEL,
    WHOLE,
    boxes_of,
    build_model,
    detections,
    rows,
    sample,
    shifted,
    step,
)

BIRD = 2
LABELLED = (Role.LABEL, LABEL, DOG)
REGION = (Role.IGNORE_REGION, ELSEWHERE, DOG)
NO_CAT, NO_BIRD = (Role.COMPLETE_CLASS, WHOLE, CAT), (Role.COMPLETE_CLASS, WHOLE, BIRD)
ALL_CLASSES = [(Role.COMPLETE_CLASS, WHOLE, number) for number in (CAT, DOG, BIRD)]


@pytest.fixture(scope="module")
def plain() -> Any:
    return build_model("plain")


def unlike(sampled: Instances) -> list[list[int]]:
    """The classes that each sampled proposal of unknown class is not."""
    if not sampled.has("not_classes"):
        return []
    chosen = sampled[sampled.not_classes.any(dim=1)]
    assert (chosen.gt_classes == -1).all()
    return [row.nonzero()[:, 0].tolist() for row in chosen.not_classes]


def test_proposals_on_ignore_regions_are_no_complete_class(plain: Any) -> None:
    boxes = [shifted(LABEL), shifted(ELSEWHERE), (0.0, 150.0, 60.0, 220.0)]
    without = sample(plain, rows(LABELLED, REGION), boxes=boxes)[0]
    sampled = sample(plain, rows(LABELLED, REGION, NO_CAT, NO_BIRD), boxes=boxes)[0]
    assert unlike(without) == []
    assert len(sampled) == len(without) + 1
    assert unlike(sampled) == [[CAT, BIRD]]
    assert sampled.proposal_boxes.tensor[-1].tolist() == list(shifted(ELSEWHERE))
    # Ordinary proposals are what they were.
    assert sampled.gt_classes[:-1].tolist() == without.gt_classes.tolist()


def test_a_class_with_an_ignore_region_is_not_complete() -> None:
    """An object of it may be there: one that augmentation cut, or that nobody is sure of."""
    known = split_targets(rows(LABELLED, REGION, NO_CAT, (Role.COMPLETE_CLASS, WHOLE, DOG)))
    assert known.complete_classes.tolist() == [CAT]


def test_only_so_many_proposals_on_ignore_regions_join_the_sample(plain: Any) -> None:
    many = [(180.0 + x / 10, 60.0, 250.0, 130.0) for x in range(60)]
    sampled = sample(plain, rows(LABELLED, REGION, NO_CAT), boxes=many)[0]
    assert len(unlike(sampled)) == plain.roi_heads.max_negatives


def test_without_any_label_all_proposals_are_no_complete_class(plain: Any) -> None:
    sampled = sample(plain, rows(NO_CAT))[0]
    assert unlike(sampled) == [[CAT]] * len(sampled)
    rejected = sample(plain, rows(NO_CAT, (Role.VERIFIED_NEGATIVE, ELSEWHERE, DOG)))[0]
    assert unlike(rejected) == [[CAT]] * (len(rejected) - 1)
    assert rejected.negative_classes[-1] == DOG


@pytest.mark.parametrize("method", ["plain", "end-to-end", "staged"])
def test_an_image_without_labels_teaches_what_is_absent(method: str) -> None:
    model = build_model(method)
    assert step(model, rows())["loss_cls"].item() == 0
    losses = step(model, rows(NO_CAT))
    assert losses["loss_cls"].item() > 0
    # Where there is an object at all remains open.
    assert losses["loss_rpn_cls"].item() == losses["loss_box_reg"].item() == 0


def test_the_loss_is_that_of_the_classes_together() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    is_not = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 1], [1, 1, 0]]).bool()
    loss = none_of_loss(logits, is_not, sigmoid=False)
    together = (logits.softmax(dim=1)[:, :3] * is_not).sum(dim=1)
    assert loss.tolist() == pytest.approx((-torch.log1p(-together)).tolist(), rel=1e-5)
    torch.autograd.backward(loss.sum())
    assert logits.grad is not None
    # Downhill lowers what it is not, and raises all else, background among it.
    assert ((logits.grad[:, :3] > 0) == is_not).all()
    assert (logits.grad[:, 3] < 0).all()
    sigmoid = none_of_loss(logits.detach(), is_not, sigmoid=True)
    independent = -(torch.log1p(-logits.detach().sigmoid()[:, :3]) * is_not).sum(dim=1)
    assert sigmoid.tolist() == pytest.approx(independent.tolist(), rel=1e-5)


@pytest.mark.parametrize("sigmoid", [False, True])
def test_of_one_class_the_loss_is_that_of_a_verified_negative(sigmoid: bool) -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
    classes = torch.tensor([0, 2, 1])
    alone = none_of_loss(logits, torch.eye(3).bool()[classes], sigmoid=sigmoid)
    assert alone.tolist() == pytest.approx(
        not_class_loss(logits, classes, sigmoid=sigmoid).tolist()
    )


def test_of_all_classes_the_loss_is_that_of_background(plain: Any) -> None:
    """So an image that is complete in all classes teaches as an exhaustive one does."""
    sampled = sample(plain, rows(*ALL_CLASSES))
    exhaustive = sample(plain, rows((Role.EXHAUSTIVE, WHOLE, 0)))
    logits = torch.randn(len(sampled[0]), 4, generator=torch.Generator().manual_seed(3))
    deltas = torch.zeros(len(logits), 12)
    losses = plain.roi_heads.box_predictor.losses
    with EventStorage():
        by_class, whole = (
            losses((logits, deltas), rows)["loss_cls"] for rows in (sampled, exhaustive)
        )
    assert by_class.item() == pytest.approx(whole.item(), rel=1e-5)


def test_losses_are_means_over_all_rows_that_count(plain: Any) -> None:
    target = rows(LABELLED, REGION, NO_CAT, (Role.VERIFIED_NEGATIVE, ELSEWHERE, BIRD))
    sampled = sample(plain, target, boxes=[shifted(LABEL), shifted(ELSEWHERE)])
    count = len(sampled[0])
    logits = torch.randn(count, 4, generator=torch.Generator().manual_seed(1))
    deltas = torch.zeros(count, 12)
    with EventStorage():
        losses = plain.roi_heads.box_predictor.losses((logits, deltas), sampled)
    probabilities = logits.softmax(dim=1)
    by_row = [-probabilities[row, DOG].log() for row in range(count - 2)]
    by_row += [-(1 - probabilities[-2, CAT]).log(), -(1 - probabilities[-1, BIRD]).log()]
    assert losses["loss_cls"].item() == pytest.approx(float(sum(by_row)) / count, rel=1e-5)


def test_no_detection_of_a_complete_class_becomes_a_label() -> None:
    found = detections((ELSEWHERE, CAT, 0.99), (ELSEWHERE, DOG, 0.98))
    merged = split_targets(
        merge_confident_detections(rows(LABELLED, NO_CAT), found, ConfidentDetectionRule(0.9, 0.5))
    )
    assert merged.labels.gt_boxes.tensor.tolist() == [list(LABEL), list(ELSEWHERE)]
    assert merged.labels.gt_classes.tolist() == [DOG, DOG]
    assert merged.complete_classes.tolist() == [CAT]


def test_pseudo_positives_that_look_like_a_complete_class_are_negatives_of_it() -> None:
    places = [ELSEWHERE, (10.0, 150.0, 60.0, 220.0), (120.0, 150.0, 160.0, 220.0)]
    # A cat, a dog, and a cat that is mostly background.
    logits = torch.tensor([[3.0, 1, 0, 0], [1, 3, 0, 0], [2, 1, 0, 5]])
    kept, target = split_off_absent(boxes_of(places), logits, rows(LABELLED, NO_CAT))
    assert kept.tensor.tolist() == [list(places[1])]
    negatives = split_targets(target).verified_negatives
    assert negatives.gt_boxes.tensor.tolist() == [list(places[0]), list(places[2])]
    assert negatives.gt_classes.tolist() == [CAT, CAT]


def test_mining_in_training_leaves_out_what_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the start of mining: a model that sees cats everywhere finds none on this image."""
    model = build_model("end-to-end", "SPARSEDET.PSEUDO_POSITIVES.OBJECTNESS_THRESH", "0.0")
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.bias[CAT] += 100
    seen: list[int] = []
    predict = model._predict

    def recorded(view: Any, sampled: Any, pseudo_positives: Any) -> Any:
        seen.append(sum(map(len, pseudo_positives)))
        return predict(view, sampled, pseudo_positives)

    monkeypatch.setattr(model, "_predict", recorded)
    for target, expected in (
        (rows(LABELLED), True),
        (rows(LABELLED, NO_CAT), False),
        (rows(LABELLED, NO_BIRD), True),
    ):
        seen.clear()
        losses = step(model, target, iteration=10**6)
        assert [count > 0 for count in seen] == [expected] * 2
        assert (losses["distillation_loss"].item() > 0) == expected

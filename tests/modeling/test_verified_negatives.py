"""Verified negatives: count against their class in every step, and against no other."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from detectron2.structures import Instances
from detectron2.utils.events import EventStorage

from sparsedet.modeling.targets import Role
from sparsedet.modeling.verified_negatives import not_class_loss
from tests.modeling.steps import (
    CAT,
    DOG,
    ELSEWHERE,
    LABEL,
    XYXY,
    build_model,
    rows,
    sample,
    step,
)

NEAR_LABEL = (44.0, 40.0, 104.0, 100.0)


@pytest.fixture(scope="module")
def plain() -> Any:
    return build_model("plain")


def negatives(sampled: Instances) -> list[tuple[list[float], int]]:
    """Box and class of the verified negatives in a sample."""
    if not sampled.has("negative_classes"):
        return []
    chosen = sampled[sampled.negative_classes >= 0]
    boxes = chosen.proposal_boxes.tensor.tolist()
    return list(zip(boxes, chosen.negative_classes.tolist(), strict=True))


def test_a_rejected_box_is_in_every_sample_as_background(plain: Any) -> None:
    target = rows((Role.LABEL, LABEL, DOG), (Role.VERIFIED_NEGATIVE, ELSEWHERE, CAT))
    for _ in range(5):
        sampled = sample(plain, target)[0]
        assert len(sampled) == plain.roi_heads.batch_size_per_image + 1
        assert negatives(sampled) == [(list(ELSEWHERE), CAT)]
        assert sampled.gt_classes[-1] == plain.roi_heads.num_classes


@pytest.mark.parametrize(
    ("rejected", "category", "expected"),
    [
        pytest.param(NEAR_LABEL, DOG, 0, id="the reviewer drew the object better"),
        pytest.param(NEAR_LABEL, CAT, 1, id="an object, but of another class"),
        pytest.param(ELSEWHERE, DOG, 1, id="elsewhere"),
    ],
)
def test_a_rejected_box_on_a_label_of_its_class_does_not_count(
    plain: Any, rejected: XYXY, category: int, expected: int
) -> None:
    target = rows((Role.LABEL, LABEL, DOG), (Role.VERIFIED_NEGATIVE, rejected, category))
    assert len(negatives(sample(plain, target)[0])) == expected


def test_of_many_rejected_boxes_some_are_drawn_by_torch(plain: Any) -> None:
    many = [(Role.VERIFIED_NEGATIVE, (x, 10.0, x + 30.0, 60.0), CAT) for x in range(40)]
    target = rows((Role.LABEL, LABEL, DOG), *many)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(negatives(sample(plain, target)[0]))
    assert len(drawn[0]) == 16
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_ignore_region_does_not_hide_a_rejected_box(plain: Any) -> None:
    target = rows(
        (Role.LABEL, LABEL, DOG),
        (Role.IGNORE_REGION, ELSEWHERE, DOG),
        (Role.VERIFIED_NEGATIVE, ELSEWHERE, CAT),
    )
    assert negatives(sample(plain, target)[0]) == [(list(ELSEWHERE), CAT)]


def test_the_loss_is_that_of_the_class_alone() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.5, -1.0], [60.0, 0.0, -20.0, 5.0], [-90.0, 0.0, 1.0, 2.0]])
    logits.requires_grad_()
    classes = torch.tensor([1, 0, 0])
    loss = not_class_loss(logits, classes, sigmoid=False)
    exact = -torch.log1p(-logits.double().softmax(dim=1)[torch.arange(3), classes])
    assert loss[[0, 2]].tolist() == pytest.approx(exact[[0, 2]].tolist(), rel=1e-5)
    # 1 - p is 0 even in double precision; the loss is the distance to the next class.
    assert loss[1].item() == pytest.approx(55, rel=1e-3)
    torch.autograd.backward(loss.sum())
    assert logits.grad is not None
    # Whatever else may be there loses nothing.
    assert (logits.grad.gather(1, classes[:, None]) >= 0).all()
    assert (logits.grad.scatter(1, classes[:, None], 0.0) <= 0).all()
    sigmoid = not_class_loss(logits.detach(), classes, sigmoid=True)
    assert sigmoid[0].item() == pytest.approx(-torch.log1p(-torch.tensor(1.0).sigmoid()).item())


def test_losses_are_means_over_ordinary_rows_and_verified_negatives(plain: Any) -> None:
    target = rows((Role.LABEL, LABEL, DOG), (Role.VERIFIED_NEGATIVE, ELSEWHERE, CAT))
    sampled = sample(plain, target)
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(len(sampled[0]), 4, generator=generator, requires_grad=True)
    deltas = torch.randn(len(sampled[0]), 12, generator=generator, requires_grad=True)
    with EventStorage():
        losses = plain.roi_heads.box_predictor.losses((logits, deltas), sampled)
        ordinary = plain.roi_heads.box_predictor.losses(
            (logits[:-1], deltas[:-1]), [sampled[0][:-1]]
        )
    by_row = F.cross_entropy(logits[:-1], sampled[0].gt_classes[:-1], reduction="none").tolist()
    by_row.append(-torch.log(1 - logits[-1].softmax(dim=0)[CAT]).item())
    assert losses["loss_cls"].item() == pytest.approx(sum(by_row) / len(by_row), rel=1e-5)
    share = (len(sampled[0]) - 1) / len(sampled[0])
    assert losses["loss_box_reg"].item() == pytest.approx(
        ordinary["loss_box_reg"].item() * share, rel=1e-5
    )
    sum(losses.values()).backward()
    assert logits.grad is not None
    assert deltas.grad is not None
    # Downhill lowers p of the rejected class, raises all others, and moves no box.
    assert (logits.grad[-1] > 0).tolist() == [True, False, False, False]
    assert (deltas.grad[-1] == 0).all()
    assert (deltas.grad[:-1] != 0).any()


def test_an_image_with_nothing_but_rejected_boxes_teaches_nothing_else(plain: Any) -> None:
    labelled = rows((Role.LABEL, LABEL, DOG))
    rejected = rows((Role.VERIFIED_NEGATIVE, ELSEWHERE, CAT))
    both = step(plain, labelled, rejected)
    alone = step(plain, labelled)
    for name in ("loss_rpn_cls", "loss_rpn_loc"):
        assert both[name].item() == pytest.approx(alone[name].item(), rel=1e-4)
    sampled = sample(plain, labelled, rejected)
    assert (sampled[1].gt_classes[:-1] == -1).all()
    assert negatives(sampled[1]) == [(list(ELSEWHERE), CAT)]
    only = step(plain, rejected)
    assert only["loss_cls"].item() > 0
    assert only["loss_box_reg"].item() == only["loss_rpn_cls"].item() == 0


def test_the_rpn_takes_rejected_boxes_for_nothing(plain: Any) -> None:
    label = (Role.LABEL, LABEL, DOG)
    with_rejected = step(plain, rows(label, (Role.VERIFIED_NEGATIVE, ELSEWHERE, CAT)))
    without = step(plain, rows(label))
    for name in ("loss_rpn_cls", "loss_rpn_loc"):
        assert with_rejected[name].item() == without[name].item()
    assert with_rejected["loss_cls"].item() != without["loss_cls"].item()


@pytest.mark.parametrize("labels", [[(Role.LABEL, LABEL, DOG)], []])
def test_both_views_get_the_verified_negatives(
    labels: list[tuple[Role, XYXY, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model("end-to-end")
    seen: list[list[tuple[list[float], int]]] = []
    losses = model.roi_heads.box_predictor.losses

    def recorded(predictions: Any, sampled: list[Instances]) -> Any:
        seen.append([found for image_rows in sampled for found in negatives(image_rows)])
        return losses(predictions, sampled)

    monkeypatch.setattr(model.roi_heads.box_predictor, "losses", recorded)
    result = step(model, rows(*labels, (Role.VERIFIED_NEGATIVE, ELSEWHERE, CAT)), iteration=1000)
    assert seen == [[(list(ELSEWHERE), CAT)]] * 2
    assert result["loss_cls"].item() > 0
    assert (result["loss_rpn_cls"].item() > 0) == bool(labels)

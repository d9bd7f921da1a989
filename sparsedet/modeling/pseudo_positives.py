"""Pseudo-positive mining and label merging, as in the published SparseDet.

S. Suri, S. Rambhatla, R. Chellappa, A. Shrivastava: "SparseDet: Improving Sparsely Annotated Object
Detection with Pseudo-positive Mining", ICCV 2023, sections 3.2 and 3.3. All boxes are XYXY in
absolute pixels of the network's input.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.layers import batched_nms, nms
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.modeling.roi_heads.fast_rcnn import fast_rcnn_inference
from detectron2.structures import Boxes, Instances, pairwise_iou
from torch import Tensor

from sparsedet.modeling.roi_heads import Predictions
from sparsedet.modeling.targets import (
    overlaps,
    overlaps_same_class,
    replace_labels,
    split_targets,
    with_verified_negatives,
)


@dataclass(frozen=True, slots=True)
class PseudoPositiveRule:
    """When a proposal counts as an unlabelled object."""

    objectness_thresh: float
    """Minimum sigmoid(objectness), exclusive."""
    max_label_iou: float
    """Maximum IoU with every label."""
    nms_thresh: float
    """IoU of the NMS over pseudo-positives for the self-supervised loss."""
    negative_iou: float = 0.5
    """IoU with a verified negative from which a proposal is background."""


@dataclass(frozen=True, slots=True)
class ConfidentDetectionRule:
    """When a detection is added to the labels of the augmented view."""

    score_thresh: float
    """Minimum score, exclusive."""
    nms_thresh: float
    """IoU of the class-wise NMS over labels and detections together."""
    negative_iou: float = 0.5
    """IoU with a verified negative of its class from which a detection is wrong."""


@torch.no_grad()
def split_pseudo_positives(
    proposals: Sequence[Instances], targets: Sequence[Instances], rule: PseudoPositiveRule
) -> tuple[list[Instances], list[Boxes]]:
    """Split each image's proposals into those for the ROI heads and pseudo-positives.

    An exhaustive image has no pseudo-positives: everything unlabelled is background.

    Args:
        proposals: per image, with `proposal_boxes` and `objectness_logits`.
        targets: per image, its rows; without labels, proposals are judged by score alone.
        rule: when a proposal is pseudo-positive.

    Returns:
        Per image the remaining proposals, and the pseudo-positive boxes after NMS in descending
        order of objectness.
    """
    remaining, pseudo_positives = [], []
    for image_proposals, image_targets in zip(proposals, targets, strict=True):
        known = split_targets(image_targets)
        boxes, logits = image_proposals.proposal_boxes, image_proposals.objectness_logits
        pseudo = logits.sigmoid() > rule.objectness_thresh
        if len(known.labels):
            overlap = pairwise_iou(boxes, known.labels.gt_boxes)
            pseudo &= overlap.max(dim=1).values <= rule.max_label_iou
        pseudo &= ~overlaps(boxes, known.verified_negatives.gt_boxes, rule.negative_iou)
        if known.exhaustive:
            pseudo.fill_(False)
        found: Tensor = boxes.tensor[pseudo]
        pseudo_positives.append(Boxes(found[nms(found, logits[pseudo], rule.nms_thresh)]))
        remaining.append(image_proposals[~pseudo])
    return remaining, pseudo_positives


@torch.no_grad()
def split_off_absent(
    pseudo_positives: Boxes, logits: Tensor, targets: Instances
) -> tuple[Boxes, Instances]:
    """Turn pseudo-positives that look like a complete class into verified negatives.

    They have no label, so they can't be of that class.

    Args:
        pseudo_positives: N boxes.
        logits: their class logits, shape (N, classes + 1).
        targets: the rows of the image.

    Returns:
        The others, and the rows with the verified negatives.
    """
    looks = logits[:, :-1].argmax(dim=1)
    absent = torch.isin(looks, split_targets(targets).complete_classes)
    negatives = pseudo_positives[absent]
    return pseudo_positives[~absent], with_verified_negatives(targets, negatives, looks[absent])


@torch.no_grad()
def confident_detections(
    predictor: FastRCNNOutputLayers,
    predictions: Predictions,
    proposals: list[Instances],
    rule: ConfidentDetectionRule,
) -> list[Instances]:
    """Return detectron2's box inference above the rule's minimum score, per image.

    Only boxes of higher score can suppress a box in NMS, or displace it from the best. So
    low-scoring boxes, which are most of them, can be dropped first.

    Args:
        predictor: the source of the predictions.
        predictions: of the proposals.
        proposals: per image, with `proposal_boxes`.
        rule: when a detection is confident.

    Returns:
        Per image, with `pred_boxes`, `pred_classes` and `scores`.
    """
    boxes = predictor.predict_boxes(predictions, proposals)
    scores = predictor.predict_probs(predictions, proposals)
    detections: list[Instances] = fast_rcnn_inference(
        boxes,
        scores,
        [image.image_size for image in proposals],
        max(rule.score_thresh, predictor.test_score_thresh),
        predictor.test_nms_thresh,
        predictor.test_topk_per_image,
    )[0]
    return detections


@torch.no_grad()
def merge_confident_detections(
    targets: Instances, detections: Instances, rule: ConfidentDetectionRule
) -> Instances:
    """Add confident detections to an image's labels, and remove duplicates.

    Labels come first and count as score 1, so that NMS keeps a label over its detection. Leaves out
    detections on verified negatives, those of classes that are complete on the image, and all of
    them on an exhaustive image.

    Args:
        targets: the rows of an image.
        detections: with `pred_boxes`, `pred_classes` and `scores`, of the same image.
        rule: when a detection is confident.

    Returns:
        The rows; labels with `gt_boxes` (clipped to the image) by descending score.
    """
    known = split_targets(targets)
    if known.exhaustive:
        return targets
    labels = known.labels
    wrong = overlaps_same_class(
        detections.pred_boxes, detections.pred_classes, known.verified_negatives, rule.negative_iou
    )
    if len(known.complete_classes):
        wrong |= torch.isin(detections.pred_classes, known.complete_classes)
    confident = detections[(detections.scores > rule.score_thresh) & ~wrong]
    boxes = Boxes.cat([labels.gt_boxes, confident.pred_boxes])
    boxes.clip(labels.image_size)
    classes = torch.cat([labels.gt_classes, confident.pred_classes])
    scores = torch.cat([confident.scores.new_ones(len(labels)), confident.scores])
    keep = batched_nms(boxes.tensor, scores, classes, rule.nms_thresh)
    merged = Instances(labels.image_size)
    merged.gt_boxes = boxes[keep]
    merged.gt_classes = classes[keep]
    return replace_labels(targets, merged)

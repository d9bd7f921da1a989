"""ROI heads for sparsely labelled images: sampling of proposals, and their losses."""

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, cross_entropy
from detectron2.modeling.roi_heads import (
    ROI_HEADS_REGISTRY,
    FastRCNNOutputLayers,
    StandardROIHeads,
)
from detectron2.modeling.roi_heads.fast_rcnn import fast_rcnn_inference
from detectron2.structures import Boxes, Instances
from detectron2.structures.boxes import matched_pairwise_iou
from torch import Tensor

from sparsedet.modeling.complete_classes import append_uncertain, none_of_loss
from sparsedet.modeling.detected_classes import of_detected
from sparsedet.modeling.soft_nms import soft_nms
from sparsedet.modeling.targets import overlaps, split_targets
from sparsedet.modeling.verified_negatives import (
    NO_CLASS,
    append_verified_negatives,
    not_class_loss,
    sample_verified_negatives,
)
from sparsedet.runtime import processes

IGNORE = -1
"""`gt_classes` of a sampled proposal of unknown content, which is excluded from the losses."""

Predictions = tuple[Tensor, Tensor]
"""Class logits, shape (R, classes + 1), and box deltas, shape (R, 4 x classes), of R proposals."""


@ROI_HEADS_REGISTRY.register()
class SparseROIHeads(StandardROIHeads):
    """detectron2's ROI heads, with these differences:

    - proposals on ignore regions are never sampled as background;
    - proposals on mined labels weigh as much as these, also as background;
    - verified negatives are added to the sample in every step;
    - proposals on images that nobody annotated are excluded from the losses;
    - if classes are complete on an image, both kinds of proposals count as negatives of these;
    - detections have `object_scores`;
    - pooling is a separate method, for training on two views.
    """

    @configurable
    def __init__(self, *, ignore_iou: float = 0.3, max_negatives: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_iou = ignore_iou
        self.max_negatives = max_negatives
        self._foreground_iou = self.proposal_matcher.thresholds[1]

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().from_config(cfg, input_shape),
            "ignore_iou": cfg.SPARSEDET.STAGED.IGNORE_IOU,
            "max_negatives": cfg.SPARSEDET.FEEDBACK.MAX_NEGATIVES,
        }

    @classmethod
    def _init_box_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        parts: dict[str, Any] = super()._init_box_head(cfg, input_shape)
        parts["box_predictor"] = SparseOutputLayers(cfg, parts["box_head"].output_shape)
        return parts

    @torch.no_grad()
    def label_and_sample_proposals(
        self, proposals: Sequence[Instances], targets: Sequence[Instances]
    ) -> list[Instances]:
        """Sample as the parent does, but without background on ignore regions.

        Returns:
            As the parent's, with each image's verified negatives after its sample. `gt_classes` is
            `IGNORE` throughout for images that nobody annotated. On images with complete classes,
            the most certain proposals on ignore regions are added to the sample; `not_classes`
            lists what they are not.
        """
        split = [split_targets(image) for image in targets]
        kept, uncertain = [], []
        for image_proposals, image in zip(proposals, split, strict=True):
            on_regions = image_proposals[:0]
            if len(image.ignore_regions):
                boxes = image_proposals.proposal_boxes
                foreground = overlaps(boxes, image.labels.gt_boxes, self._foreground_iou)
                drop = overlaps(boxes, image.ignore_regions, self.ignore_iou) & ~foreground
                on_regions = image_proposals[drop][: self.max_negatives]
                image_proposals = image_proposals[~drop]
            kept.append(image_proposals)
            uncertain.append(on_regions)
        samples = super().label_and_sample_proposals(kept, [image.labels for image in split])
        result = []
        for sample, image, on_regions in zip(samples, split, uncertain, strict=True):
            if sample.has("gt_weights"):
                on_label = matched_pairwise_iou(sample.proposal_boxes, sample.gt_boxes)
                on_mined = sample.gt_mined & (on_label >= self.ignore_iou)
                sample.gt_weights = torch.where(on_mined, sample.gt_weights, 1.0)
            if not image.annotated:
                sample.gt_classes.fill_(IGNORE)
            complete = image.complete_classes
            if len(complete):
                sample = append_uncertain(
                    sample, on_regions, complete, classes=self.num_classes, ignore=IGNORE
                )
            negatives = sample_verified_negatives(
                image, label_iou=self._foreground_iou, limit=self.max_negatives
            )
            result.append(append_verified_negatives(sample, negatives, self.num_classes))
        return result

    def box_features(self, features: dict[str, Tensor], boxes: list[Boxes]) -> Tensor:
        """Return the box head's features of each box: shape (sum of boxes, FC_DIM)."""
        pooled = self.box_pooler([features[name] for name in self.box_in_features], boxes)
        result: Tensor = self.box_head(pooled)
        return result


class SparseOutputLayers(FastRCNNOutputLayers):
    """detectron2's output layers, with these differences:

    - `IGNORE`d proposals are excluded from the losses, except for what they are known not to be,
      and verified negatives have a separate loss;
    - without `regress_mined`, boxes are regressed to human labels only. A model that regresses to
      its own boxes repeats their errors, which their scores don't show. So mined labels only teach
      the class, like pseudo-labels in Liu et al., "Unbiased Teacher for Semi-Supervised Object
      Detection" (ICLR 2021); the RPN, whose boxes are rough anyway, learns from both;
    - detections also have the probability of an object of any class, which may be high even if that
      of each class is low;
    - with `soft_nms_sigma` detections go through soft-NMS; both scores decay alike.
    """

    @configurable
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        regress_mined: bool = True,
        soft_nms_sigma: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_shape, **kwargs)
        self.regress_mined = regress_mined
        self.soft_nms_sigma = soft_nms_sigma
        """0: NMS as the parent has it."""

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().from_config(cfg, input_shape),
            "regress_mined": cfg.SPARSEDET.STAGED.REGRESS_MINED,
            "soft_nms_sigma": cfg.SPARSEDET.SOFT_NMS.SIGMA if cfg.SPARSEDET.SOFT_NMS.ENABLED else 0,
        }

    def losses(self, predictions: Predictions, proposals: list[Instances]) -> dict[str, Tensor]:
        """Return the parent's losses: means over all rows that count, including verified negatives.

        Args:
            predictions: of the proposals.
            proposals: per image; `gt_classes` may be `IGNORE`, `negative_classes`, `not_classes`
                and `gt_weights` are optional.
        """
        logits, deltas = predictions
        if any(image.has("gt_weights") for image in proposals):
            # The parent's losses take no weights of rows: so their gradients are weighted.
            weights = _field(proposals, "gt_weights", 1).to(logits.dtype)
            logits = torch.lerp(logits.detach(), logits, weights[:, None])
        classes = torch.cat([image.gt_classes for image in proposals])
        negative_classes = _field(proposals, "negative_classes", NO_CLASS)
        negative = negative_classes != NO_CLASS
        ordinary = (classes != IGNORE) & ~negative
        class_loss = self.sigmoid_cross_entropy_loss if self.use_sigmoid_ce else cross_entropy
        losses: dict[str, Tensor] = {
            "loss_cls": class_loss(logits[ordinary], classes[ordinary]),
            "loss_box_reg": self._box_loss(deltas, classes, proposals, ordinary),
        }
        losses = {name: loss * self.loss_weight.get(name, 1.0) for name, loss in losses.items()}
        negatives = not_class_loss(
            logits[negative], negative_classes[negative], sigmoid=self.use_sigmoid_ce
        )
        not_classes = _not_classes(proposals, logits)
        if not_classes is not None:
            uncertain = not_classes.any(dim=1)
            none_of = none_of_loss(
                logits[uncertain], not_classes[uncertain], sigmoid=self.use_sigmoid_ce
            )
            negatives = torch.cat([negatives, none_of])
        count = int(ordinary.sum()) + len(negatives)
        if len(negatives):
            # The parent's are means over the ordinary rows.
            losses = {name: loss * (1 - len(negatives) / count) for name, loss in losses.items()}
            weight = self.loss_weight.get("loss_cls", 1.0)
            losses["loss_cls"] = losses["loss_cls"] + weight * negatives.sum() / count
        if processes.ranks() > 1:
            share = processes.share(count, logits.device)
            losses = {name: loss * share for name, loss in losses.items()}
        return losses

    def _box_loss(
        self, deltas: Tensor, classes: Tensor, proposals: list[Instances], rows: Tensor
    ) -> Tensor:
        """Return the parent's box loss over `rows`, shape (R,), of R proposals.

        Without `regress_mined`, rows on mined labels count like background, which has no box: the
        weight of human labels is unchanged.
        """
        if not self.regress_mined:
            mined = _field(proposals, "gt_mined", 0).bool()
            classes = classes.masked_fill(mined, self.num_classes)
        boxes = [image.proposal_boxes for image in proposals]
        # Without a label there is no target box.
        targets = [image.get_fields().get("gt_boxes", image.proposal_boxes) for image in proposals]
        loss: Tensor = self.box_reg_loss(
            Boxes.cat(boxes).tensor[rows],
            Boxes.cat(targets).tensor[rows],
            deltas[rows],
            classes[rows],
        )
        return loss

    def inference(
        self, predictions: Predictions, proposals: list[Instances]
    ) -> tuple[list[Instances], list[Tensor]]:
        """Add `object_scores`, shape (N,): one minus the probability of background."""
        boxes = self.predict_boxes(predictions, proposals)
        probabilities = self.predict_probs(predictions, proposals)
        sizes = [image.image_size for image in proposals]
        if self.soft_nms_sigma > 0:
            images = zip(boxes, probabilities, sizes, strict=True)
            found = [self._softly(*image) for image in images]
            return [detections for detections, _ in found], [rows for _, rows in found]
        detections, rows = fast_rcnn_inference(
            boxes,
            [of_detected(image) for image in probabilities],
            sizes,
            self.test_score_thresh,
            self.test_nms_thresh,
            self.test_topk_per_image,
        )
        for image, own, kept in zip(detections, probabilities, rows, strict=True):
            image.object_scores = self._object_scores(own[kept])
        return detections, rows

    def _softly(
        self, boxes: Tensor, probabilities: Tensor, size: tuple[int, int]
    ) -> tuple[Instances, Tensor]:
        """Return an image's detections, and the proposal that each of them comes from.

        Args:
            boxes: shape (R, 4 or 4 x classes).
            probabilities: shape (R, classes + 1).
            size: the image's height and width.
        """
        scores = of_detected(probabilities)[:, :-1]
        finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(probabilities).all(dim=1)
        rows, classes = ((scores > self.test_score_thresh) & finite[:, None]).nonzero().unbind(1)
        moved = boxes.view(len(boxes), boxes.shape[1] // 4, 4)
        own = classes if moved.shape[1] > 1 else torch.zeros_like(classes)
        candidates = Boxes(moved[rows, own])
        candidates.clip(size)
        before = scores[rows, classes]
        kept, decayed = soft_nms(
            candidates.tensor,
            before,
            classes,
            sigma=self.soft_nms_sigma,
            least=self.test_score_thresh,
            most=self.test_topk_per_image,
        )
        rows = rows[kept]
        detections = Instances(size)
        detections.pred_boxes = candidates[kept]
        detections.scores = decayed
        detections.pred_classes = classes[kept]
        detections.object_scores = self._object_scores(probabilities[rows]) * decayed / before[kept]
        return detections, rows

    def _object_scores(self, probabilities: Tensor) -> Tensor:
        """Return the probability of an object, shape (N,), from probabilities (N, classes + 1)."""
        if self.use_sigmoid_ce:
            # Classes are independent, and the background's column is not trained.
            return 1 - (1 - probabilities[:, :-1]).prod(dim=1)
        return 1 - probabilities[:, -1]


def _not_classes(proposals: list[Instances], logits: Tensor) -> Tensor | None:
    """Return `not_classes` of R sampled proposals, shape (R, classes); None if no image has it.

    Args:
        proposals: per image.
        logits: of the proposals, shape (R, classes + 1).
    """
    if not any(image.has("not_classes") for image in proposals):
        return None
    return torch.cat(
        [
            image.not_classes
            if image.has("not_classes")
            else logits.new_zeros((len(image), logits.shape[1] - 1), dtype=torch.bool)
            for image in proposals
        ]
    )


def _field(proposals: list[Instances], name: str, missing: int) -> Tensor:
    """Return a field of R sampled proposals, shape (R,); `missing` in images without it."""
    return torch.cat(
        [
            image.get(name) if image.has(name) else torch.full_like(image.gt_classes, missing)
            for image in proposals
        ]
    )

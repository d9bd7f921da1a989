"""The last layers of the box head: their loss on sparse labels, and what they detect."""

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, cross_entropy
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from torch import Tensor

from sparsedet.modeling.certain_negatives import NO_CLASS, not_class_loss, rejected_classes
from sparsedet.modeling.mined_labels import mined_rows
from sparsedet.runtime import processes

NO_VERDICT = -1
"""As `gt_classes` of a sampled proposal: nobody knows what it shows, it stays out of the losses."""

Predictions = tuple[Tensor, Tensor]
"""Class logits, shape (R, classes + 1), and box deltas, shape (R, 4 x classes), of R proposals."""


class SparseOutputLayers(FastRCNNOutputLayers):
    """detectron2's output layers, except that

    - proposals without a verdict stay out of the losses, and certain negatives have their own;
    - without `regress_mined`, their boxes are learned from people alone, not from mined labels;
    - detections also tell how sure it is that there is an object: that may be sure while its class
      is not.
    """

    @configurable
    def __init__(
        self, input_shape: ShapeSpec, *, regress_mined: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(input_shape, **kwargs)
        self.regress_mined = regress_mined

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().from_config(cfg, input_shape),
            "regress_mined": cfg.SPARSEDET.STAGED.REGRESS_MINED,
        }

    def losses(self, predictions: Predictions, proposals: list[Instances]) -> dict[str, Tensor]:
        """Return the parent's losses: means over all rows that count, certain negatives included.

        Args:
            predictions: of the proposals.
            proposals: per image; `gt_classes` may be `NO_VERDICT`, `rejected_classes` may be there.
        """
        logits, deltas = predictions
        rejected = rejected_classes(proposals)
        classes = torch.cat([image.gt_classes for image in proposals])
        certain = rejected != NO_CLASS
        ordinary = (classes != NO_VERDICT) & ~certain
        class_loss = self.sigmoid_cross_entropy_loss if self.use_sigmoid_ce else cross_entropy
        losses: dict[str, Tensor] = {
            "loss_cls": class_loss(logits[ordinary], classes[ordinary]),
            "loss_box_reg": self._box_loss(deltas, classes, proposals, ordinary),
        }
        losses = {name: loss * self.loss_weight.get(name, 1.0) for name, loss in losses.items()}
        negatives = not_class_loss(logits[certain], rejected[certain], sigmoid=self.use_sigmoid_ce)
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
        """Return the parent's loss of boxes over `rows`, shape (R,), of R proposals.

        Without `regress_mined` those on mined labels count as background does, which has no box:
        what people drew weighs as before.
        """
        if not self.regress_mined:
            classes = classes.masked_fill(mined_rows(proposals), self.num_classes)
        boxes = [image.proposal_boxes for image in proposals]
        # Images without a label have no box to be moved to.
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
        """Add `object_scores`, shape (N,): the probability that a detection is not background."""
        detections, rows = super().inference(predictions, proposals)
        probabilities = self.predict_probs(predictions, proposals)
        for image, image_probabilities, kept in zip(detections, probabilities, rows, strict=True):
            image.object_scores = self._object_scores(image_probabilities[kept])
        return detections, rows

    def _object_scores(self, probabilities: Tensor) -> Tensor:
        """Return the probability of an object, shape (N,); given shape (N, classes + 1)."""
        if self.use_sigmoid_ce:
            # Classes are independent of each other, and nothing trains the background's column.
            return 1 - (1 - probabilities[:, :-1]).prod(dim=1)
        return 1 - probabilities[:, -1]

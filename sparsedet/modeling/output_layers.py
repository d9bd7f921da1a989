"""The last layers of the box head: their loss on sparse labels, and what they detect."""

import torch
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from detectron2.structures import Instances
from torch import Tensor

from sparsedet.modeling.certain_negatives import NO_CLASS, not_class_loss, rejected_classes

NO_VERDICT = -1
"""As `gt_classes` of a sampled proposal: nobody knows what it shows, it stays out of the losses."""

Predictions = tuple[Tensor, Tensor]
"""Class logits, shape (R, classes + 1), and box deltas, shape (R, 4 x classes), of R proposals."""


class SparseOutputLayers(FastRCNNOutputLayers):
    """detectron2's output layers, except that

    - proposals without a verdict stay out of the losses, and certain negatives have their own;
    - detections also tell how sure it is that there is an object: that may be sure while its class
      is not.
    """

    def losses(self, predictions: Predictions, proposals: list[Instances]) -> dict[str, Tensor]:
        """Return the parent's losses: means over all rows that count, certain negatives included.

        Args:
            predictions: of the proposals.
            proposals: per image; `gt_classes` may be `NO_VERDICT`, `rejected_classes` may be there.
        """
        logits, deltas = predictions
        rejected = rejected_classes(proposals)
        certain = rejected != NO_CLASS
        classes = torch.cat([image.gt_classes for image in proposals])
        ordinary = (classes != NO_VERDICT) & ~certain
        rows = torch.split(ordinary, [len(image) for image in proposals])
        losses: dict[str, Tensor] = super().losses(
            (logits[ordinary], deltas[ordinary]),
            [image[chosen] for image, chosen in zip(proposals, rows, strict=True)],
        )
        negatives = int(certain.sum())
        if negatives == 0:
            return losses
        count = int(ordinary.sum()) + negatives
        losses = {name: loss * (1 - negatives / count) for name, loss in losses.items()}
        not_class = not_class_loss(logits[certain], rejected[certain], sigmoid=self.use_sigmoid_ce)
        weight = self.loss_weight.get("loss_cls", 1.0)
        losses["loss_cls"] = losses["loss_cls"] + weight * not_class.sum() / count
        return losses

    def inference(
        self, predictions: Predictions, proposals: list[Instances]
    ) -> tuple[list[Instances], list[Tensor]]:
        """Add `object_scores`, shape (N,): the probability that a detection is not background."""
        detections, rows = super().inference(predictions, proposals)
        probabilities = self.predict_probs(predictions, proposals)
        for image, image_probabilities, kept in zip(detections, probabilities, rows, strict=True):
            image.object_scores = 1 - image_probabilities[kept, -1]
        return detections, rows

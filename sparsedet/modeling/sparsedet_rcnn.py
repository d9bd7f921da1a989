"""SparseDet: Faster R-CNN on two views, excluding pseudo-positives from the background."""

from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY, GeneralizedRCNN, build_backbone
from detectron2.modeling.proposal_generator import build_proposal_generator
from detectron2.modeling.roi_heads import build_roi_heads
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import get_event_storage
from torch import Tensor

from sparsedet.modeling.pseudo_positives import (
    ConfidentDetectionRule,
    PseudoPositiveRule,
    confident_detections,
    merge_confident_detections,
    split_off_absent,
    split_pseudo_positives,
)
from sparsedet.modeling.roi_heads import Predictions
from sparsedet.modeling.rpn import CommonRPNHead
from sparsedet.modeling.targets import split_targets
from sparsedet.runtime import processes

Features = dict[str, Tensor]
Losses = dict[str, Tensor]


@META_ARCH_REGISTRY.register()
class SparseDetRCNN(GeneralizedRCNN):
    """The end-to-end method of SparseDet (ICCV 2023), with these differences from its parent:

    - A training image has two views, `image` and `image_augmented`, of the same geometry.
    - The common RPN takes both views' features together and gives one set of proposals.
    - After `mining_start`, proposals that look like unlabelled objects (pseudo-positives) are moved
      from the supervised losses to a self-supervised one; those that look like a class that is
      complete on the image become negatives of it.
    - The augmented view also learns from confident detections in the original view.

    Inference is the parent's, deterministic, on one view: its features are used for both halves of
    the common RPN's input.
    """

    @configurable
    def __init__(
        self,
        *,
        mining_start: float,
        pseudo_positive_rule: PseudoPositiveRule,
        confident_detection_rule: ConfidentDetectionRule,
        self_supervised_weight: float,
        **kwargs: Any,
    ) -> None:
        """Take the parent's arguments and:

        Args:
            mining_start: pseudo-positives are mined after this iteration.
            pseudo_positive_rule: which proposals are pseudo-positive.
            confident_detection_rule: which detections become labels of the augmented view.
            self_supervised_weight: weight of `distillation_loss`.
        """
        super().__init__(**kwargs)
        self.mining_start = mining_start
        self.pseudo_positive_rule = pseudo_positive_rule
        self.confident_detection_rule = confident_detection_rule
        self.self_supervised_weight = self_supervised_weight

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Return the constructor's arguments; the RPN is built for both views' channels."""
        backbone = build_backbone(cfg)
        shapes = backbone.output_shape()
        common_shapes = {
            name: ShapeSpec(channels=2 * shape.channels, stride=shape.stride)
            for name, shape in shapes.items()
        }
        with_common_rpn = cfg.clone()
        with_common_rpn.defrost()
        with_common_rpn.MODEL.RPN.HEAD_NAME = CommonRPNHead.__name__
        pseudo, confident = cfg.SPARSEDET.PSEUDO_POSITIVES, cfg.SPARSEDET.CONFIDENT_DETECTIONS
        start = cfg.SOLVER.MAX_ITER // 2 if pseudo.START_ITER < 0 else pseudo.START_ITER
        foreground_iou: float = cfg.MODEL.ROI_HEADS.IOU_THRESHOLDS[-1]
        return {
            "backbone": backbone,
            "proposal_generator": build_proposal_generator(with_common_rpn, common_shapes),
            "roi_heads": build_roi_heads(cfg, shapes),
            "input_format": cfg.INPUT.FORMAT,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "mining_start": start if pseudo.ENABLED else float("inf"),
            "pseudo_positive_rule": PseudoPositiveRule(
                pseudo.OBJECTNESS_THRESH, pseudo.MAX_LABEL_IOU, pseudo.NMS_THRESH, foreground_iou
            ),
            "confident_detection_rule": ConfidentDetectionRule(
                confident.SCORE_THRESH, confident.NMS_THRESH, foreground_iou
            ),
            "self_supervised_weight": pseudo.LOSS_WEIGHT,
        }

    def forward(self, batched_inputs: list[dict[str, Any]]) -> Any:
        """Return losses in training, and detections otherwise, like the parent.

        In training every input also has `image_augmented`, with the shape of `image`: (C, H, W).
        """
        if not self.training:
            return self.inference(batched_inputs)
        count = len(batched_inputs)
        both_views = self.preprocess_image(
            batched_inputs + [{"image": item["image_augmented"]} for item in batched_inputs]
        )
        targets = [item["instances"].to(self.device) for item in batched_inputs]
        original, augmented = _views(self.backbone(both_views.tensor))
        images = ImageList(both_views.tensor[:count], both_views.image_sizes[:count])
        proposals, losses = self.proposal_generator(images, _common(original, augmented), targets)

        pseudo_positives = [Boxes(image.proposal_boxes.tensor[:0]) for image in proposals]
        if get_event_storage().iter > self.mining_start:
            proposals, mined = split_pseudo_positives(proposals, targets, self.pseudo_positive_rule)
            mined, targets = self._without_absent(original, mined, targets)
            annotated = any(split_targets(image).annotated for image in targets)
            if processes.any_true(annotated, self.device):
                pseudo_positives = mined
        losses.update(self._box_losses(original, augmented, proposals, pseudo_positives, targets))
        return losses

    @torch.no_grad()
    def _without_absent(
        self, view: Features, pseudo_positives: list[Boxes], targets: list[Instances]
    ) -> tuple[list[Boxes], list[Instances]]:
        """Turn pseudo-positives that look like a class complete on their image into negatives.

        Args:
            view: the feature maps of the original view.
            pseudo_positives: per image.
            targets: per image, its rows.

        Returns:
            The others per image, and the rows with the negatives.
        """
        kept, rows = list(pseudo_positives), list(targets)
        for index, boxes in enumerate(pseudo_positives):
            if len(boxes) and len(split_targets(targets[index]).complete_classes):
                own = {name: maps[index : index + 1] for name, maps in view.items()}
                logits, _ = self.roi_heads.box_predictor(self.roi_heads.box_features(own, [boxes]))
                kept[index], rows[index] = split_off_absent(boxes, logits, targets[index])
        return kept, rows

    def _box_losses(
        self,
        original: Features,
        augmented: Features,
        proposals: list[Instances],
        pseudo_positives: list[Boxes],
        targets: list[Instances],
    ) -> Losses:
        """Return the two views' ROI losses, averaged, and the self-supervised loss between them.

        A view's losses cover the images that teach it classes: by labels (of which the augmented
        view may have more), by verified negatives, or by complete classes; samples of other images
        are ignored. If no image does so in the original view, only the augmented one counts.
        """
        heads = self.roi_heads
        sampled = heads.label_and_sample_proposals(proposals, targets)
        predictions, in_original = self._predict(original, sampled, pseudo_positives)
        detections = confident_detections(
            heads.box_predictor, predictions, sampled, self.confident_detection_rule
        )
        merged = [
            merge_confident_detections(own, found, self.confident_detection_rule)
            for own, found in zip(targets, detections, strict=True)
        ]
        sampled_augmented = heads.label_and_sample_proposals(proposals, merged)
        predictions_augmented, in_augmented = self._predict(
            augmented, sampled_augmented, pseudo_positives
        )
        losses: Losses = heads.box_predictor.losses(predictions_augmented, sampled_augmented)
        teaches_classes = any(split_targets(image).teaches_classes for image in targets)
        if processes.any_true(teaches_classes, self.device):
            original_losses: Losses = heads.box_predictor.losses(predictions, sampled)
            losses = {name: 0.5 * (original_losses[name] + loss) for name, loss in losses.items()}
        losses["distillation_loss"] = self._self_supervised_loss(in_original, in_augmented)
        return losses

    def _predict(
        self, view: Features, sampled: list[Instances], pseudo_positives: list[Boxes]
    ) -> tuple[Predictions, Tensor]:
        """Return predictions on a view's sample, and box features of its pseudo-positives.

        Both are pooled together: the gradient of a pooling is as large as the feature maps.
        """
        boxes = [
            Boxes.cat([image.proposal_boxes, pseudo])
            for image, pseudo in zip(sampled, pseudo_positives, strict=True)
        ]
        sizes = [len(part) for pair in zip(sampled, pseudo_positives, strict=True) for part in pair]
        parts = self.roi_heads.box_features(view, boxes).split(sizes)
        predictions: Predictions = self.roi_heads.box_predictor(torch.cat(parts[::2]))
        return predictions, torch.cat(parts[1::2])

    def _self_supervised_loss(self, in_original: Tensor, in_augmented: Tensor) -> Tensor:
        """Return the mean squared difference of the pseudo-positives' box features in both views.

        Args:
            in_original: shape (N, FC_DIM); no rows before mining.
            in_augmented: the same boxes in the other view.
        """
        share = processes.share(len(in_original), in_original.device)
        if len(in_original) == 0:
            return in_original.new_zeros(())
        return F.mse_loss(in_original, in_augmented) * (self.self_supervised_weight * share)


def _views(features: Features) -> tuple[Features, Features]:
    """Split the maps into those of the original views, and of the augmented ones after them."""
    halves = {name: maps.chunk(2) for name, maps in features.items()}
    return (
        {name: original for name, (original, _) in halves.items()},
        {name: augmented for name, (_, augmented) in halves.items()},
    )


def _common(original: Features, augmented: Features) -> Features:
    """Return the common RPN's input: both views' maps along the channels, the original first."""
    return {name: torch.cat([maps, augmented[name]], dim=1) for name, maps in original.items()}

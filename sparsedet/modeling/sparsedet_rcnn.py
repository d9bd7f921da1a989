"""SparseDet: Faster R-CNN on two views, with pseudo-positives kept out of the background."""

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
    merge_confident_detections,
    split_pseudo_positives,
)
from sparsedet.modeling.targets import split_targets

Features = dict[str, Tensor]
Losses = dict[str, Tensor]


@META_ARCH_REGISTRY.register()
class SparseDetRCNN(GeneralizedRCNN):
    """The end-to-end method of SparseDet (ICCV 2023), which differs from its parent in this:

    - A training image comes in two views, `image` and `image_augmented`, of one geometry.
    - The common RPN sees both views' features side by side and gives one set of proposals.
    - Past `mining_start`, proposals that look like unlabelled objects (pseudo-positives) leave the
      supervised losses and enter a self-supervised one.
    - The augmented view also learns from confident detections in the original view.

    Inference needs one backbone pass and is deterministic: the original view's features stand in
    both halves of the common RPN's input.
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
            mining_start: pseudo-positives are mined once the iteration is greater than this.
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
        pseudo, confident = cfg.SPARSEDET.PSEUDO_POSITIVES, cfg.SPARSEDET.CONFIDENT_DETECTIONS
        start = cfg.SOLVER.MAX_ITER // 2 if pseudo.START_ITER < 0 else pseudo.START_ITER
        foreground_iou: float = cfg.MODEL.ROI_HEADS.IOU_THRESHOLDS[-1]
        return {
            "backbone": backbone,
            "proposal_generator": build_proposal_generator(cfg, common_shapes),
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
        """Return the losses in training, the detections otherwise, as the parent does.

        In training every input also has `image_augmented`, of the shape of `image`: (C, H, W).
        """
        if not self.training:
            return self.inference(batched_inputs)
        count = len(batched_inputs)
        both_views = self.preprocess_image(
            batched_inputs + [{"image": item["image_augmented"]} for item in batched_inputs]
        )
        targets = [item["instances"].to(self.device) for item in batched_inputs]
        features: Features = self.backbone(both_views.tensor)
        original = {name: maps[:count] for name, maps in features.items()}
        augmented = {name: maps[count:] for name, maps in features.items()}
        images = ImageList(both_views.tensor[:count], both_views.image_sizes[:count])
        proposals, losses = self.proposal_generator(images, _common(original, augmented), targets)

        pseudo_positives: list[Boxes] = []
        if get_event_storage().iter > self.mining_start:
            proposals, pseudo_positives = split_pseudo_positives(
                proposals, targets, self.pseudo_positive_rule
            )
        losses.update(self._box_losses(original, augmented, proposals, targets))
        any_annotated = any(split_targets(image).annotated for image in targets)
        losses["distillation_loss"] = self._self_supervised_loss(
            features, pseudo_positives if any_annotated else []
        )
        return losses

    def inference(
        self,
        batched_inputs: list[dict[str, Any]],
        detected_instances: list[Instances] | None = None,
        do_postprocess: bool = True,
    ) -> Any:
        """Detect as the parent does, with one backbone pass."""
        assert detected_instances is None, "SparseDet has no heads for given boxes"
        images = self.preprocess_image(batched_inputs)
        features: Features = self.backbone(images.tensor)
        proposals, _ = self.proposal_generator(images, _common(features, features), None)
        detections, _ = self.roi_heads(images, features, proposals, None)
        if do_postprocess:
            return self._postprocess(detections, batched_inputs, images.image_sizes)
        return detections

    def _box_losses(
        self,
        original: Features,
        augmented: Features,
        proposals: list[Instances],
        targets: list[Instances],
    ) -> Losses:
        """Return the two views' ROI losses, averaged.

        A view's losses cover the images that teach classes in it: by labels, which the augmented
        view may have more of, by rejected boxes, or by being exhaustive. Where no image does so in
        the original view, only the augmented one counts.
        """
        heads = self.roi_heads
        sampled = heads.label_and_sample_proposals(proposals, targets)
        predictions = heads.predict(original, sampled)
        merged = [
            merge_confident_detections(own, detections, self.confident_detection_rule)
            for own, detections in zip(targets, heads.detect(predictions, sampled), strict=True)
        ]
        chosen = _teaching(merged)
        if chosen:
            sampled_augmented = heads.label_and_sample_proposals(
                [proposals[index] for index in chosen], [merged[index] for index in chosen]
            )
            features = {name: maps[chosen] for name, maps in augmented.items()}
            augmented_losses: Losses = heads.box_predictor.losses(
                heads.predict(features, sampled_augmented), sampled_augmented
            )
        else:
            augmented_losses = _zero_losses(predictions[0])
        if not _teaching(targets):
            return augmented_losses
        original_losses: Losses = heads.box_predictor.losses(predictions, sampled)
        return {
            name: 0.5 * (loss + augmented_losses[name]) for name, loss in original_losses.items()
        }

    def _self_supervised_loss(self, features: Features, pseudo_positives: list[Boxes]) -> Tensor:
        """Return the mean squared difference of the pseudo-positives' box features in both views.

        Args:
            features: of the original views, then of the augmented ones.
            pseudo_positives: boxes of each image; [] before mining.
        """
        if sum(len(boxes) for boxes in pseudo_positives) == 0:
            return next(iter(features.values())).new_zeros(())
        box_features = self.roi_heads.box_features(features, pseudo_positives * 2)
        in_original, in_augmented = box_features.chunk(2)
        return F.mse_loss(in_original, in_augmented) * self.self_supervised_weight


def _common(original: Features, augmented: Features) -> Features:
    """Return the common RPN's input: both views' maps along the channels, the original first."""
    return {name: torch.cat([maps, augmented[name]], dim=1) for name, maps in original.items()}


def _teaching(targets: list[Instances]) -> list[int]:
    """Return the indices of the images that the ROI heads learn from."""
    return [index for index, image in enumerate(targets) if split_targets(image).teaches_classes]


def _zero_losses(logits: Tensor) -> Losses:
    """Return zero ROI losses that still hang in the graph."""
    return {"loss_cls": logits.sum() * 0, "loss_box_reg": logits.sum() * 0}

"""A detector in plain tensor operations with fixed numbers of boxes, for exporters.

detectron2's own inference keeps lists of different lengths per image. Here each step keeps its
maximum number of boxes; unused rows have the score `NO_BOX`. Detections are the same, up to
rounding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from detectron2.modeling import GeneralizedRCNN
from torch import Tensor, nn
from torchvision.ops import nms, roi_align

from sparsedet.errors import ExportError
from sparsedet.modeling.anchors import TorchvisionAnchorGenerator, step
from sparsedet.modeling.roi_heads import SparseROIHeads
from sparsedet.modeling.rpn import SparseRPN

NO_BOX = -1e9
"""The score of unused rows."""
_CANDIDATES = 2000
"""Maximum number of boxes per image, over all classes, in the last NMS, the best ones: fewer than
a tenth of them are kept as detections."""


class TraceableDetector(nn.Module):
    """The inference of a detector on images of one size.

    Args:
        model: of `sparsedet.modeling`, built for inference.

    Raises:
        ExportError: when the model is not supported.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        heads = getattr(model, "roi_heads", None)
        rpn = getattr(model, "proposal_generator", None)
        if not (
            isinstance(model, GeneralizedRCNN)
            and isinstance(heads, SparseROIHeads)
            and isinstance(rpn, SparseRPN)
        ):
            raise ExportError(
                f"can't export a {type(model).__name__}: not a Faster R-CNN of sparsedet"
            )
        self.mean: Tensor
        self.std: Tensor
        self.backbone = model.backbone
        self.register_buffer("mean", model.pixel_mean.clone())
        self.register_buffer("std", model.pixel_std.clone())
        self.proposals = _Proposals(rpn)
        self.pooler = _Pooler(heads.box_pooler)
        self.box_head = heads.box_head
        self.detections = _Detections(heads.box_predictor, heads.num_classes, self.proposals.count)
        self._rpn_features = list(rpn.in_features)
        self._box_features = list(heads.box_in_features)
        self._multiple = max(1, model.backbone.size_divisibility)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect on images.

        Args:
            images: uint8 of shape (N, 3, H, W), in the configuration's colour order, resized for
                the network.

        Returns:
            Boxes, shape (N, D, 4): XYXY in pixels of the input; scores, shape (N, D), in descending
            order; and classes, int64 of shape (N, D), from 0. Unused rows have score 0 and
            class -1.
        """
        height, width = images.shape[2], images.shape[3]
        normalised = (images.to(self.mean.dtype) - self.mean) / self.std
        padded = F.pad(normalised, (0, -width % self._multiple, 0, -height % self._multiple))
        maps: dict[str, Tensor] = self.backbone(padded)
        boxes, is_box = self.proposals([maps[name] for name in self._rpn_features], height, width)
        pooled = self.pooler([maps[name] for name in self._box_features], boxes)
        found: tuple[Tensor, Tensor, Tensor] = self.detections(
            self.box_head(pooled), boxes, is_box, height, width
        )
        return found


class _Proposals(nn.Module):
    """The RPN: the best boxes of each image."""

    def __init__(self, rpn: SparseRPN) -> None:
        super().__init__()
        self.head = rpn.rpn_head
        generator = rpn.anchor_generator
        for level, cells in enumerate(generator.cell_anchors):
            self.register_buffer(f"cells{level}", cells.clone())
        self._strides: list[int] = list(generator.strides)
        # torchvision's anchors depend on the maps' sizes.
        self._fixed_steps = not isinstance(generator, TorchvisionAnchorGenerator)
        self._offset: float = generator.offset
        self._transform = rpn.box2box_transform
        self._per_level: int = rpn.pre_nms_topk[False]
        self._nms: float = rpn.nms_thresh
        self._least: float = rpn.min_box_size
        self.count: int = min(rpn.post_nms_topk[False], len(self._strides) * self._per_level)
        """Boxes of an image."""

    def forward(self, maps: list[Tensor], height: int, width: int) -> tuple[Tensor, Tensor]:
        """Return boxes, shape (N, K, 4), best first, and which rows are used, shape (N, K)."""
        logits, deltas = self.head(maps)
        boxes, scores = [], []
        first_map = (maps[0].shape[2], maps[0].shape[3])
        for level, (level_logits, level_deltas) in enumerate(zip(logits, deltas, strict=True)):
            level_boxes, level_scores = self._best(level, level_logits, level_deltas, first_map)
            boxes.append(level_boxes)
            scores.append(level_scores)
        all_boxes = _clip(torch.cat(boxes, dim=1), height, width)
        all_scores = torch.cat(scores, dim=1)
        sides = all_boxes[..., 2:] - all_boxes[..., :2]
        all_scores = torch.where((sides > self._least).all(dim=-1), all_scores, NO_BOX)
        levels = torch.arange(len(maps), device=all_boxes.device)
        groups = levels.repeat_interleave(self._per_level).expand_as(all_scores)
        kept = _suppressed(all_boxes, all_scores, groups, len(maps), self._nms)
        best, order = kept.topk(self.count, dim=1)
        return _gather(all_boxes, order), best > NO_BOX

    def _best(
        self, level: int, logits: Tensor, deltas: Tensor, first_map: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return the best boxes of a level, shape (N, `_per_level`, 4), and their scores."""
        images, cells, rows, columns = logits.shape
        scores = logits.permute(0, 2, 3, 1).flatten(1)
        # Padding: a small map has fewer anchors than requested.
        scores = F.pad(scores, (0, self._per_level), value=NO_BOX)
        moves = deltas.view(images, cells, 4, rows, columns).permute(0, 3, 4, 1, 2).flatten(1, 3)
        moves = F.pad(moves, (0, 0, 0, self._per_level))
        anchors = self._anchors(level, rows, columns, first_map, logits)
        anchors = F.pad(anchors, (0, 0, 0, self._per_level))
        best, order = scores.topk(self._per_level, dim=1)
        chosen = anchors[order.flatten()]
        decoded = _apply(self._transform, _gather(moves, order).reshape(-1, 4), chosen)
        return decoded.reshape(images, self._per_level, 4), best

    def _anchors(
        self, level: int, rows: int, columns: int, first_map: tuple[int, int], like: Tensor
    ) -> Tensor:
        """Return a map's anchors, shape (rows x columns x cells, 4)."""
        down = across = self._strides[level]
        if not self._fixed_steps:
            down = step(first_map[0], self._strides[0], rows)
            across = step(first_map[1], self._strides[0], columns)
        cells: Tensor = getattr(self, f"cells{level}")
        x = (torch.arange(columns, device=like.device, dtype=cells.dtype) + self._offset) * across
        y = (torch.arange(rows, device=like.device, dtype=cells.dtype) + self._offset) * down
        x, y = x[None, :].expand(rows, columns), y[:, None].expand(rows, columns)
        shifts = torch.stack((x, y, x, y), dim=-1)
        return (shifts[:, :, None] + cells).reshape(-1, 4)


class _Pooler(nn.Module):
    """RoIAlign on the level matching a box's size (Lin et al., FPN, CVPR 2017)."""

    def __init__(self, pooler: Any) -> None:
        super().__init__()
        self._output: tuple[int, int] = tuple(pooler.output_size)
        self._scales: list[float] = [one.spatial_scale for one in pooler.level_poolers]
        first = pooler.level_poolers[0]
        self._samples: int = first.sampling_ratio
        self._aligned: bool = first.aligned
        self._least: int = pooler.min_level
        self._canonical_size: float = float(pooler.canonical_box_size)
        self._canonical_level: float = float(pooler.canonical_level)

    def forward(self, maps: list[Tensor], boxes: Tensor) -> Tensor:
        """Return the features of all boxes, shape (N x K, C, height, width)."""
        images, count = boxes.shape[0], boxes.shape[1]
        numbers = torch.arange(images, device=boxes.device, dtype=boxes.dtype)
        numbers = numbers[:, None, None].expand(images, count, 1)
        regions = torch.cat((numbers, boxes), dim=2).reshape(-1, 5)
        sides = regions[:, 3:] - regions[:, 1:3]
        size = (sides[:, 0] * sides[:, 1]).sqrt()
        level = torch.floor(self._canonical_level + torch.log2(size / self._canonical_size + 1e-8))
        level = level.clamp(self._least, self._least + len(maps) - 1) - self._least
        pooled = regions.new_zeros((images * count, maps[0].shape[1], *self._output))
        for number, (features, scale) in enumerate(zip(maps, self._scales, strict=True)):
            rows = (level == number).nonzero().flatten()
            parts = roi_align(
                features, regions[rows], self._output, scale, self._samples, self._aligned
            )
            pooled = pooled.index_put((rows,), parts)
        return pooled


class _Detections(nn.Module):
    """The last stage: classes and boxes of the proposals."""

    def __init__(self, predictor: Any, classes: int, proposals: int) -> None:
        super().__init__()
        self.class_scores = predictor.cls_score
        self.box_moves = predictor.bbox_pred
        self._transform = predictor.box2box_transform
        self._classes = classes
        self._sigmoid: bool = predictor.use_sigmoid_ce
        self._least: float = predictor.test_score_thresh
        self._nms: float = predictor.test_nms_thresh
        self._candidates = min(_CANDIDATES, proposals * classes)
        self._kept: int = min(predictor.test_topk_per_image, self._candidates)

    def forward(
        self, features: Tensor, proposals: Tensor, is_box: Tensor, height: int, width: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes, scores and classes; see `TraceableDetector.forward`."""
        images, count = proposals.shape[0], proposals.shape[1]
        logits = self.class_scores(features)
        probabilities = logits.sigmoid() if self._sigmoid else logits.softmax(dim=-1)
        scores = probabilities[:, :-1].reshape(images, count, self._classes)
        sure = (scores > self._least) & is_box[..., None]
        scores = torch.where(sure, scores, NO_BOX).flatten(1)
        moves = self.box_moves(features)
        boxes = _apply(self._transform, moves, proposals.reshape(-1, 4))
        boxes = boxes.reshape(images, count, -1, 4).expand(images, count, self._classes, 4)
        boxes = _clip(boxes, height, width).flatten(1, 2)
        best, order = scores.topk(self._candidates, dim=1)
        classes = order % self._classes
        boxes = _gather(boxes, order)
        kept = _suppressed(boxes, best, classes, self._classes, self._nms)
        final, order = kept.topk(self._kept, dim=1)
        there = final > NO_BOX
        return (
            _gather(boxes, order) * there[..., None],
            torch.where(there, final, 0.0),
            torch.where(there, classes.gather(1, order), -1),
        )


def _apply(transform: Any, moves: Tensor, boxes: Tensor) -> Tensor:
    """Move boxes, shape (R, 4), by deltas, shape (R, 4 x k); return shape (R, 4 x k).

    Like detectron2's `Box2BoxTransform.apply_deltas`, which is compiled and so opaque to exporters.
    """
    deltas = moves.reshape(moves.shape[0], -1, 4)
    sides = boxes[:, None, 2:] - boxes[:, None, :2]
    centres = boxes[:, None, :2] + 0.5 * sides
    across, down, wide, high = transform.weights
    place = moves.new_tensor((across, down))
    size = moves.new_tensor((wide, high))
    centres = deltas[..., :2] / place * sides + centres
    half = 0.5 * (deltas[..., 2:] / size).clamp(max=transform.scale_clamp).exp() * sides
    return torch.cat((centres - half, centres + half), dim=-1).flatten(1)


def _clip(boxes: Tensor, height: int, width: int) -> Tensor:
    """Clip boxes, shape (..., 4), to the image."""
    left, top, right, bottom = boxes.unbind(dim=-1)
    return torch.stack(
        (
            left.clamp(0, width),
            top.clamp(0, height),
            right.clamp(0, width),
            bottom.clamp(0, height),
        ),
        dim=-1,
    )


def _suppressed(
    boxes: Tensor, scores: Tensor, groups: Tensor, count: int, threshold: float
) -> Tensor:
    """Set scores, shape (N, M), to `NO_BOX` where NMS within image and group drops a box.

    One NMS for the whole batch: boxes of different images and groups are moved apart.

    Args:
        boxes: shape (N, M, 4).
        scores: shape (N, M).
        groups: shape (N, M): 0 to `count` - 1.
        count: number of groups.
        threshold: IoU above which the lower-scored box is dropped.
    """
    images = torch.arange(boxes.shape[0], device=boxes.device)[:, None]
    region = (images * count + groups).to(boxes.dtype) * (boxes.max() + 1)
    apart = (boxes + region[..., None]).reshape(-1, 4)
    kept = nms(apart, scores.flatten(), threshold)
    stays = torch.zeros_like(scores.flatten()).index_put(
        (kept,), torch.ones_like(kept, dtype=scores.dtype)
    )
    return torch.where(stays.reshape(scores.shape) > 0, scores, NO_BOX)


def _gather(values: Tensor, order: Tensor) -> Tensor:
    """Gather rows of values, shape (N, M, C), by an order, shape (N, K): shape (N, K, C)."""
    return values.gather(1, order[..., None].expand(-1, -1, values.shape[2]))

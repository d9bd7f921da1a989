"""The configuration keys of sparsedet's models, in addition to detectron2's.

Keys that only a training reads have their place in `sparsedet.config.sections`.
"""

from detectron2.config import CfgNode


def add_sparsedet_config(cfg: CfgNode) -> None:
    """Add the keys, with the published values as defaults where the paper has them."""
    cfg.SPARSEDET = CfgNode()

    # Pseudo-positive mining while training (end-to-end).
    cfg.SPARSEDET.PSEUDO_POSITIVES = CfgNode()
    cfg.SPARSEDET.PSEUDO_POSITIVES.ENABLED = True
    # Mine once the iteration is greater than this; -1: half of SOLVER.MAX_ITER.
    cfg.SPARSEDET.PSEUDO_POSITIVES.START_ITER = -1
    # A proposal is pseudo-positive above this sigmoid(objectness) ...
    cfg.SPARSEDET.PSEUDO_POSITIVES.OBJECTNESS_THRESH = 0.8
    # ... when its IoU with every label of the image is at most this.
    cfg.SPARSEDET.PSEUDO_POSITIVES.MAX_LABEL_IOU = 0.2
    # NMS that thins the pseudo-positives for the self-supervised loss.
    cfg.SPARSEDET.PSEUDO_POSITIVES.NMS_THRESH = 0.3
    # Weight of the self-supervised loss between the views' box features.
    cfg.SPARSEDET.PSEUDO_POSITIVES.LOSS_WEIGHT = 1.0

    # Confident detections that join the labels of the augmented view (end-to-end).
    cfg.SPARSEDET.CONFIDENT_DETECTIONS = CfgNode()
    cfg.SPARSEDET.CONFIDENT_DETECTIONS.SCORE_THRESH = 0.9
    # Class-wise NMS over labels and detections together.
    cfg.SPARSEDET.CONFIDENT_DETECTIONS.NMS_THRESH = 0.5

    # What becomes of mined boxes (staged).
    cfg.SPARSEDET.STAGED = CfgNode()
    # Anchors and proposals that overlap an ignore region by this IoU are never background.
    cfg.SPARSEDET.STAGED.IGNORE_IOU = 0.3
    # Whether the box head learns the box of a mined label as well, instead of its class alone.
    cfg.SPARSEDET.STAGED.REGRESS_MINED = False

    # Rejected boxes are verified negatives of the ROI heads.
    cfg.SPARSEDET.FEEDBACK = CfgNode()
    # The most of them per image and step; of more, these many are drawn.
    cfg.SPARSEDET.FEEDBACK.MAX_NEGATIVES = 16

    # Soft-NMS of detections, in place of NMS.
    cfg.SPARSEDET.SOFT_NMS = CfgNode()
    cfg.SPARSEDET.SOFT_NMS.ENABLED = False
    # Scores fall by exp(-IoU^2 / this) for every surer detection of their class.
    cfg.SPARSEDET.SOFT_NMS.SIGMA = 0.5

    # timm backbones (MODEL.BACKBONE.NAME build_timm_fpn_backbone).
    cfg.MODEL.TIMM = CfgNode()
    # Of timm.list_models(); with `.TAG` behind it, MODEL.WEIGHTS timm takes these weights of it.
    cfg.MODEL.TIMM.NAME = "efficientnet_lite0"
    # Feature levels by stride: c3 has stride 8, c5 stride 32.
    cfg.MODEL.TIMM.OUT_FEATURES = ["c3", "c4", "c5"]
    # The stages up to this level are not trained; "" trains all of them.
    cfg.MODEL.TIMM.FREEZE_THROUGH = "c3"
    # Batch norm divides by sqrt(variance + this); 0: the timm model's own. Follows MODEL.WEIGHTS.
    cfg.MODEL.TIMM.BATCH_NORM_EPS = 0.0

    # Only annotated images (with labels, or exhaustive) enter the RPN's loss; the others stay in
    # training.
    cfg.MODEL.RPN.LABELLED_IMAGES_ONLY = False
    # Memory layout of convolutions; on CPU channels_last is about 1.2 x as fast.
    cfg.MODEL.CHANNELS_LAST = False
    # Whether torch.compile makes kernels of backbone and RPN head for the training.
    cfg.MODEL.COMPILE = False

"""Configuration keys of sparsedet's models, in addition to detectron2's.

Keys that only training reads are in `sparsedet.config.sections`.
"""

from detectron2.config import CfgNode


def add_sparsedet_config(cfg: CfgNode) -> None:
    """Add the keys; defaults are the published values where the paper has them."""
    cfg.SPARSEDET = CfgNode()

    # Pseudo-positive mining during training (end-to-end).
    cfg.SPARSEDET.PSEUDO_POSITIVES = CfgNode()
    cfg.SPARSEDET.PSEUDO_POSITIVES.ENABLED = True
    # Mine after this iteration; -1: half of SOLVER.MAX_ITER.
    cfg.SPARSEDET.PSEUDO_POSITIVES.START_ITER = -1
    # A proposal is pseudo-positive above this sigmoid(objectness) ...
    cfg.SPARSEDET.PSEUDO_POSITIVES.OBJECTNESS_THRESH = 0.8
    # ... and an IoU of at most this with every label of the image.
    cfg.SPARSEDET.PSEUDO_POSITIVES.MAX_LABEL_IOU = 0.2
    # IoU of the NMS over pseudo-positives for the self-supervised loss.
    cfg.SPARSEDET.PSEUDO_POSITIVES.NMS_THRESH = 0.3
    # Weight of the self-supervised loss between the views' box features.
    cfg.SPARSEDET.PSEUDO_POSITIVES.LOSS_WEIGHT = 1.0

    # Confident detections added to the labels of the augmented view (end-to-end).
    cfg.SPARSEDET.CONFIDENT_DETECTIONS = CfgNode()
    cfg.SPARSEDET.CONFIDENT_DETECTIONS.SCORE_THRESH = 0.9
    # Class-wise NMS over labels and detections together.
    cfg.SPARSEDET.CONFIDENT_DETECTIONS.NMS_THRESH = 0.5

    # Use of mined boxes (staged).
    cfg.SPARSEDET.STAGED = CfgNode()
    # Anchors and proposals with this IoU with an ignore region are never background.
    cfg.SPARSEDET.STAGED.IGNORE_IOU = 0.3
    # Whether the box head also regresses to mined labels, instead of only classifying them.
    cfg.SPARSEDET.STAGED.REGRESS_MINED = False

    # Rejected boxes are verified negatives of the ROI heads.
    cfg.SPARSEDET.FEEDBACK = CfgNode()
    # Maximum number per image and step; more are subsampled.
    cfg.SPARSEDET.FEEDBACK.MAX_NEGATIVES = 16

    # Soft-NMS of detections, in place of NMS.
    cfg.SPARSEDET.SOFT_NMS = CfgNode()
    cfg.SPARSEDET.SOFT_NMS.ENABLED = False
    # Scores fall by exp(-IoU^2 / this) for every surer detection of their class.
    cfg.SPARSEDET.SOFT_NMS.SIGMA = 0.5

    # timm backbones (MODEL.BACKBONE.NAME build_timm_fpn_backbone).
    cfg.MODEL.TIMM = CfgNode()
    # A name of timm.list_models(); with `.TAG` appended, MODEL.WEIGHTS timm loads those weights.
    cfg.MODEL.TIMM.NAME = "efficientnet_lite0"
    # Feature levels by stride: c3 has stride 8, c5 stride 32.
    cfg.MODEL.TIMM.OUT_FEATURES = ["c3", "c4", "c5"]
    # Stages up to this level are frozen; "" trains all of them.
    cfg.MODEL.TIMM.FREEZE_THROUGH = "c3"
    # Epsilon of batch norm; 0: the timm model's own. Follows MODEL.WEIGHTS.
    cfg.MODEL.TIMM.BATCH_NORM_EPS = 0.0

    # Only annotated images (with labels, or exhaustive) contribute to the RPN's loss; others stay
    # in training.
    cfg.MODEL.RPN.LABELLED_IMAGES_ONLY = False
    # Memory layout of convolutions; on a CPU channels_last is about 1.2 x as fast.
    cfg.MODEL.CHANNELS_LAST = False
    # Whether torch.compile makes kernels of backbone and RPN head for the training.
    cfg.MODEL.COMPILE = False

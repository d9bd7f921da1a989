"""The configuration keys that sparsedet adds to detectron2's."""

from detectron2.config import CfgNode


def add_sparsedet_config(cfg: CfgNode) -> None:
    """Add sparsedet's keys, with the published values as defaults where the paper has them."""
    cfg.SPARSEDET = CfgNode()
    # plain, end-to-end or staged: see `sparsedet.training.config.methods`.
    cfg.SPARSEDET.METHOD = "staged"

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

    # The augmented view (end-to-end).
    cfg.SPARSEDET.AUGMENTED_VIEW = CfgNode()
    # Contrast, brightness and saturation factors are each drawn from this range.
    cfg.SPARSEDET.AUGMENTED_VIEW.JITTER = (0.5, 1.5)
    # Standard deviation of the PCA colour lighting, in units of the ImageNet colour spread.
    cfg.SPARSEDET.AUGMENTED_VIEW.LIGHTING = 1.2
    # Blacken a rectangle of one random labelled box.
    cfg.SPARSEDET.AUGMENTED_VIEW.ERASE = True
    # Share of the box's area that the rectangle takes, and its range of width / height.
    cfg.SPARSEDET.AUGMENTED_VIEW.ERASE_AREA = (0.4, 0.7)
    cfg.SPARSEDET.AUGMENTED_VIEW.ERASE_ASPECT = (0.3, 3.3)

    # Mining (`sparsedet mine`, and between the stages of `staged`).
    cfg.SPARSEDET.MINING = CfgNode()
    # A detection is mined above this quantile of the model's scores on human boxes of its class.
    cfg.SPARSEDET.MINING.QUANTILE = 0.3
    # A threshold is never above this: on few images a model learns its boxes by heart and scores
    # them all near 1, which no other object reaches.
    cfg.SPARSEDET.MINING.MAX_THRESHOLD = 0.9
    # A detection that is no label is in doubt, and ignored by the training, from this quantile of
    # the object scores (of all classes together) on human boxes on ...
    cfg.SPARSEDET.MINING.DOUBTFUL_QUANTILE = 0.05
    # ... which is taken into this range: what is an object more likely than not must not be
    # punished, and ignoring all that the model hardly sees costs background.
    cfg.SPARSEDET.MINING.DOUBTFUL_RANGE = (0.3, 0.5)
    # A mined box is never a label below this score: it is more likely right than wrong. A model
    # that has seen little scores human boxes low, too.
    cfg.SPARSEDET.MINING.MIN_LABEL_SCORE = 0.5
    # Its class is sure when it has at least this share of the score of all classes together ...
    cfg.SPARSEDET.MINING.CLASS_SHARE = 0.8
    # ... and such scores name the classes of human boxes with this precision.
    cfg.SPARSEDET.MINING.CLASS_PRECISION = 0.9
    # An annotation explains a detection, whatever its class, from this IoU on.
    cfg.SPARSEDET.MINING.EXPLAINED_IOU = 0.5
    # So does a box of its class when this share of the smaller of the two lies in the larger.
    cfg.SPARSEDET.MINING.NESTED_SHARE = 0.7

    # Training that mines on its way (staged).
    cfg.SPARSEDET.STAGED = CfgNode()
    # After these shares of SOLVER.MAX_ITER the training images are mined.
    cfg.SPARSEDET.STAGED.MINE_AT = (0.375, 0.6875)
    # But never before this iteration: a model that has seen little takes much for objects.
    cfg.SPARSEDET.STAGED.MIN_ITER = 100
    # Mined boxes are used where at least this share of the objects that the model finds has no
    # label: of all of them, or of those of a class; and on images without any label. 0: everywhere.
    # When labels are nearly complete, annotators may have skipped the other objects on purpose.
    cfg.SPARSEDET.STAGED.MIN_MISSING = 0.4
    # What a mined box is to the training that goes on. Object and class are sure: a label.
    cfg.SPARSEDET.STAGED.LABELS = True
    # Whether the box head learns the box of such a label as well, instead of its class alone.
    cfg.SPARSEDET.STAGED.REGRESS_MINED = False
    # In doubt: ignored. False: background like anything else.
    cfg.SPARSEDET.STAGED.IGNORED = True
    # Anchors and proposals that overlap an ignored box by this IoU are never background.
    cfg.SPARSEDET.STAGED.IGNORE_IOU = 0.3
    # The most labelled objects of other images that are pasted into an image; 0: none. For each,
    # another image is decoded where they don't all fit in DATALOADER.CACHE_MIB.
    cfg.SPARSEDET.STAGED.PASTES = 3
    # Annotated images with so many labels or fewer always take some; one with n labels, more than
    # these, in PASTE_LABELS / n of its turns.
    cfg.SPARSEDET.STAGED.PASTE_LABELS = 6
    # Range of the factor of their size.
    cfg.SPARSEDET.STAGED.PASTE_SCALE = (0.7, 1.4)
    # Share of the images that are seen from nearer or farther, and the range of the factor.
    cfg.SPARSEDET.STAGED.ZOOM_SHARE = 0.5
    cfg.SPARSEDET.STAGED.ZOOM = (0.7, 1.4)

    # What reviewers said of mined boxes; False trains as if they had said nothing.
    cfg.SPARSEDET.FEEDBACK = CfgNode()
    # Boxes that were accepted or edited are labels like those that people drew.
    cfg.SPARSEDET.FEEDBACK.ACCEPTED = True
    # Rejected boxes are certain negatives of their class in every step of the ROI heads.
    cfg.SPARSEDET.FEEDBACK.REJECTED = True
    # The most of them per image and step; of more, these many are drawn.
    cfg.SPARSEDET.FEEDBACK.MAX_NEGATIVES = 16
    # In images that a person marked as exhaustive, all that has no label is background; they stay
    # in training without any label, too.
    cfg.SPARSEDET.FEEDBACK.EXHAUSTIVE = True

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

    # SGD (with detectron2's momentum keys) or AdamW.
    cfg.SOLVER.OPTIMIZER = "SGD"
    # AdamW: the pretrained backbone learns at this share of the rate of the new layers.
    cfg.SOLVER.BODY_LR_FACTOR = 1.0
    # Mine by, and end with, a moving average of the weights that keeps this share of itself in
    # every iteration; 0: none.
    cfg.SOLVER.EMA_DECAY = 0.0
    # Save a checkpoint after this many seconds, whatever CHECKPOINT_PERIOD says.
    cfg.SOLVER.CHECKPOINT_SECONDS = 600
    # How many states of a stage are kept: the newest, and some before it.
    cfg.SOLVER.CHECKPOINTS_KEPT = 2
    # A batch goes through the model in so many parts, one after the other: less memory, more time.
    # Their losses are averaged; each is normalised by its own proposals.
    cfg.SOLVER.ACCUMULATION = 1
    # With SOLVER.AMP.ENABLED: bf16, fp16, or auto (bf16 where the device has it).
    cfg.SOLVER.AMP.PRECISION = "auto"

    # Measuring on the way, every TEST.EVAL_PERIOD iterations (0: never).
    cfg.SPARSEDET.VALIDATION = CfgNode()
    # Without validation data of its own, a run sets this share of its exhaustive images aside, or
    # where there are fewer than two, hides this share of its annotations from the training.
    cfg.SPARSEDET.VALIDATION.HELD_OUT = 0.1
    # Recall counts so many detections of an image.
    cfg.SPARSEDET.VALIDATION.DETECTIONS = 100
    # End the run once so many measurements in a row brought nothing better; 0: never.
    cfg.SPARSEDET.VALIDATION.PATIENCE = 0
    # Bound of the memory for decoded images, in MiB; 0 decodes every time.
    cfg.DATALOADER.CACHE_MIB = 2048
    # Images that can't be decoded are skipped, and listed; more of them than this are an error.
    cfg.DATALOADER.MAX_UNREADABLE = 10

    # Of former versions, whose run folders still name them.
    for key in ("SPARSEDET.STAGED.HELD_OUT", "SPARSEDET.STAGED.OBJECTS"):
        cfg.register_deprecated_key(key)

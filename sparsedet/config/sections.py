"""The keys of a training: meaning, bounds and, for our own, defaults.

A field is named like its key, in lower case, unless a `Key` says otherwise. Keys of sparsedet have
their default here; a field without one is a key for building models, of detectron2 or of
`sparsedet.modeling.config`.
"""

from collections.abc import Mapping
from math import gcd
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sparsedet.config.augmentations import (
    AugmentedViewConfig,
    CopyPasteConfig,
    ScaleJitterConfig,
)
from sparsedet.config.constraints import (
    LEAST_TILE,
    Count,
    Expected,
    InnerShare,
    IoU,
    Key,
    Length,
    NonNegative,
    Positive,
    Score,
    Scores,
    Section,
    Share,
    ShareBelow1,
    known_backbone,
    known_rpn_head,
    tile_side,
)
from sparsedet.errors import ConfigError
from sparsedet.modeling.inputs import InferenceInput

Method = Literal["plain", "augmented", "end-to-end", "staged"]


class ModelConfig(Section):
    """Which model is trained, by which method and where."""

    group = "MODEL"

    method: Annotated[Method, Key("SPARSEDET.METHOD")] = "staged"
    """See `sparsedet.config.training_config`."""
    device: str
    """cpu or cuda."""
    backbone: Annotated[
        str,
        AfterValidator(known_backbone),
        Key("MODEL.BACKBONE.NAME"),
        Expected("a backbone that detectron2 or sparsedet registers"),
    ]
    rpn_head: Annotated[
        str,
        AfterValidator(known_rpn_head),
        Key("MODEL.RPN.HEAD_NAME"),
        Expected("a head that detectron2 or sparsedet registers"),
    ]
    compile: bool
    """Whether torch.compile makes kernels of backbone and RPN head for the training."""
    soft_nms: Annotated[bool, Key("SPARSEDET.SOFT_NMS.ENABLED")]
    """Whether detections go through soft-NMS instead of NMS."""
    soft_nms_sigma: Annotated[Positive, Key("SPARSEDET.SOFT_NMS.SIGMA")]
    """Of soft-NMS: the larger, the less the scores of overlapping detections fall."""


class SolverConfig(Section):
    """Iterations, optimiser and checkpoints."""

    group = "SOLVER"

    max_iter: Count
    """Total iterations of the run, over all stages."""
    batch_size: Annotated[Count, Key("SOLVER.IMS_PER_BATCH")]
    """Images per iteration, over all processes."""
    accumulation: Count = 1
    """Number of parts in which a batch goes through the model, one by one: less memory, more time.
    Their losses are averaged; each is normalised by its own proposals."""
    optimizer: Literal["SGD", "AdamW"] = "SGD"
    base_lr: Positive
    body_lr_factor: float = 1.0
    """AdamW: learning rate of the pretrained backbone relative to that of new layers."""
    bias_lr_factor: float | None
    weight_decay: float
    weight_decay_norm: float | None
    weight_decay_bias: float | None
    lr_scheduler_name: Literal["WarmupMultiStepLR", "WarmupCosineLR", "WarmupStepWithFixedGammaLR"]
    clip_type: Annotated[Literal["value", "norm"], Key("SOLVER.CLIP_GRADIENTS.CLIP_TYPE")]
    mixed_precision: Annotated[bool, Key("SOLVER.AMP.ENABLED")]
    precision: Annotated[Literal["auto", "bf16", "fp16"], Key("SOLVER.AMP.PRECISION")] = "auto"
    """Precision of mixed-precision training; auto: bf16 if the device supports it, else fp16."""
    ema_decay: ShareBelow1 = 0.0
    """Decay per iteration of the exponential moving average of the weights, which is used for
    mining and as the result of a run; 0: no average."""
    checkpoint_period: Count
    checkpoint_seconds: Annotated[int, Field(gt=0), Expected("more than 0")] = 600
    """Seconds between two checkpoints, regardless of the period."""
    checkpoints_kept: Count = 2
    """Number of checkpoints of a stage to keep: the newest, and some older ones."""

    def bounded(self, images: int, ranks: int) -> Mapping[str, int]:
        """Return values of keys that reduce the batch to a dataset's images; none if not needed.

        There may be fewer annotated images: batches repeat some.

        Args:
            images: number of images in the dataset, including tiles.
            ranks: processes that share a batch; each gets at least one image.
        """
        if self.batch_size <= images:
            return {}
        share = max(1, images // ranks)
        batch = {"SOLVER.IMS_PER_BATCH": share * ranks}
        return {**batch, "SOLVER.ACCUMULATION": gcd(share, self.accumulation)}

    def check_shares(self, ranks: int) -> None:
        """Check that this many processes can share a batch, and split their shares into parts.

        Raises:
            ConfigError: naming the key.
        """
        if self.batch_size % ranks:
            raise ConfigError(
                f"configuration key SOLVER.IMS_PER_BATCH is {self.batch_size}, which {ranks} "
                f"processes can't share evenly; set it to a multiple of {ranks}"
            )
        share = self.batch_size // ranks
        if share % self.accumulation:
            raise ConfigError(
                f"configuration key SOLVER.ACCUMULATION is {self.accumulation}, which can't split "
                f"the {share} images of a process evenly; set it to a divisor of {share}"
            )


class InputConfig(Section):
    """Size and colours of images, in training and at test time."""

    group = "INPUT"

    format: Literal["RGB", "BGR"]
    """The colour order of the network's input."""
    pixel_mean: Annotated[
        tuple[float, float, float], Key("MODEL.PIXEL_MEAN"), Expected("three levels, 0 to 255")
    ]
    """In the colour order of `format`."""
    min_size_train: Annotated[
        tuple[Length, ...], Field(min_length=1), Expected("one or more lengths in pixels")
    ]
    """Lengths of the shorter side, one of which is drawn for every image."""
    max_size_train: Length
    """Maximum length of the longer side."""
    min_size_test: Length
    max_size_test: Length
    tile: Annotated[
        int, AfterValidator(tile_side), Expected(f"0, or a side of {LEAST_TILE} pixels or more")
    ] = 0
    """Side of tiles of larger images, in pixels of these: the network sees them in addition to the
    whole images, in training, mining, evaluation and prediction. 0: no tiles."""
    random_flip: Literal["horizontal", "none"]
    """horizontal mirrors half of the images."""

    @property
    def mirrors(self) -> bool:
        """Whether half of the images are mirrored."""
        return self.random_flip == "horizontal"

    @property
    def fill(self) -> tuple[float, ...]:
        """The neutral colour, BGR."""
        return self.pixel_mean[::-1] if self.format == "RGB" else self.pixel_mean

    def at_test(self) -> InferenceInput:
        """Return the image preprocessing at test time."""
        return InferenceInput(self.min_size_test, self.max_size_test, self.format)


class LoaderConfig(Section):
    """Which images are loaded, how often, and by how many processes."""

    group = "DATALOADER"

    num_workers: Annotated[int, Field(ge=-1), Expected("0 or more, or -1 for as many as help")]
    """Number of loader processes."""
    sampler: Annotated[
        Literal["TrainingSampler", "RepeatFactorTrainingSampler"], Key("DATALOADER.SAMPLER_TRAIN")
    ]
    """RepeatFactorTrainingSampler repeats images of rare classes; see `repeat_factors`."""
    repeat_threshold: Annotated[float, Field(ge=0, le=1), Expected("a share of the images, 0 to 1")]
    repeat_sqrt: bool
    aspect_ratio_grouping: bool
    """Whether images of one orientation share a batch, for little padding."""
    filter_empty_annotations: bool
    """Whether images without annotations are left out."""
    cache_mib: NonNegative = 2048
    """Size of the cache of decoded images, in MiB; 0 decodes every time."""
    max_unreadable: NonNegative = 10
    """Maximum number of undecodable images, which are skipped and listed; more are an error."""


class StagedConfig(Section):
    """Training that pauses to mine its own images (staged)."""

    group = "SPARSEDET.STAGED"

    mine_at: Annotated[
        tuple[InnerShare, ...], Expected("shares of the iterations, between 0 and 1")
    ] = (0.375, 0.6875)
    """The training images are mined after these shares of the iterations."""
    max_passes: NonNegative = 16
    """Minings are added if there are more passes than this over the images before the first one or
    between two, and more than 300 iterations. 0: none are added."""
    min_iter: NonNegative = 100
    """Never mine before this iteration: a barely trained model takes much for objects."""
    min_missing: Share = 0.4
    """Use mined boxes if at least this share of the objects that the model finds has no label: over
    all of them, or over those of a class; and always on images without labels. 0: everywhere. If
    labels are nearly complete, annotators may have skipped the other objects on purpose."""
    soft_labels: bool = False
    """Whether every mined box is a label that counts as much as it is likely (expected precision).
    False: SPARSEDET.MINING's thresholds divide them into labels and ignore regions."""
    prototypes: bool = False
    """Whether mined boxes are compared with annotated objects: soft labels count more if they
    resemble these; otherwise, ignore regions that resemble other things are background."""
    labels: bool = True
    """Whether mined boxes are labels; False: ignore regions."""
    ignored: bool = True
    """Whether mined boxes that are no labels are ignore regions; False: they are ordinary
    background."""
    ignore_iou: IoU
    """Anchors and proposals with this IoU with an ignore region are never background."""


class MiningConfig(Section):
    """Which detections are mined (`sparsedet mine`, and between the stages of staged)."""

    group = "SPARSEDET.MINING"

    quantile: Share = 0.3
    """Quantile of the model's scores on human boxes of a class above which a detection is mined."""
    max_threshold: Score = 0.9
    """Upper bound of thresholds: on few images a model memorises its boxes and scores all of them
    near 1, which no other object reaches."""
    ignore_quantile: Annotated[Share, Key("SPARSEDET.MINING.DOUBTFUL_QUANTILE")] = 0.05
    """Quantile of the object scores (over all classes) on human boxes from which a detection that
    is not a label becomes an ignore region ..."""
    ignore_range: Annotated[Scores, Key("SPARSEDET.MINING.DOUBTFUL_RANGE")] = (0.3, 0.5)
    """... clipped to this range: probable objects must not be punished, and ignoring everything
    that the model barely detects costs background."""
    min_label_score: Score = 0.5
    """Minimum score of mined labels: more likely right than wrong. A barely trained model scores
    human boxes low, too."""
    class_share: Share = 0.8
    """Its class is certain if it has at least this share of the total score of all classes ..."""
    class_precision: Share = 0.9
    """... and such scores give the class of human boxes with this precision."""
    explained_iou: IoU = 0.5
    """IoU from which an annotation explains a detection of any class."""
    nested_share: Share = 0.7
    """A box of its class also does if this share of the smaller of the two is inside the larger."""


class FeedbackConfig(Section):
    """What training uses of reviews; False trains as if there were none."""

    group = "SPARSEDET.FEEDBACK"

    accepted: bool = True
    """Accepted and edited boxes are labels like human ones."""
    rejected: bool = True
    """Rejected boxes are negatives of their class in every step of the ROI heads."""
    exhaustive: bool = True
    """In images that a person marked as exhaustive, everything unlabelled is background; if single
    classes are complete, it is not of these. Such images stay in training even without labels."""
    max_negatives: Count
    """Maximum number of rejected boxes per image and step; more are subsampled. Also the maximum
    number of proposals on ignore regions known not to be of complete classes: the most certain
    ones."""


class ValidationConfig(Section):
    """Validation during training."""

    group = "SPARSEDET.VALIDATION"

    eval_period: Annotated[
        int,
        Field(ge=0),
        Expected("a number of iterations, or 0 for never"),
        Key("TEST.EVAL_PERIOD"),
    ]
    """Iterations between two validations."""
    held_out: ShareBelow1 = 0.1
    """Without separate validation data, a run sets this share of its exhaustive images aside, or,
    if there are fewer than two, hides this share of its annotations from the training."""
    detections: Count = 100
    """Number of detections per image that count for recall."""
    patience: Annotated[int, Field(ge=0), Expected("a number of measurements, or 0 for no end")] = 0
    """Stop early after this many validations in a row without improvement; 0: never."""


SECTIONS: tuple[type[Section], ...] = (
    ModelConfig,
    SolverConfig,
    InputConfig,
    LoaderConfig,
    AugmentedViewConfig,
    CopyPasteConfig,
    ScaleJitterConfig,
    StagedConfig,
    MiningConfig,
    FeedbackConfig,
    ValidationConfig,
)

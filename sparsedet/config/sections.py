"""The keys of a training: each with its meaning, its bounds and, if it is ours, its default.

A field is named as its key, in small letters, unless a `Key` says otherwise. Keys of sparsedet have
their default here; a field without one is a key that models are built by, of detectron2 or of
`sparsedet.modeling.config`.
"""

from collections.abc import Mapping
from math import gcd
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sparsedet.config.constraints import (
    LEAST_TILE,
    Count,
    Expected,
    InnerShare,
    IoU,
    Key,
    Length,
    NonNegative,
    Numbers,
    Positive,
    Scales,
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
    """Iterations of the run, those of all stages together."""
    batch_size: Annotated[Count, Key("SOLVER.IMS_PER_BATCH")]
    """Images of an iteration, those of all processes together."""
    accumulation: Count = 1
    """A batch goes through the model in so many parts, one after the other: less memory, more time.
    Their losses are averaged; each is normalised by its own proposals."""
    optimizer: Literal["SGD", "AdamW"] = "SGD"
    base_lr: Positive
    body_lr_factor: float = 1.0
    """AdamW: the pretrained backbone learns at this share of the rate of the new layers."""
    bias_lr_factor: float | None
    weight_decay: float
    weight_decay_norm: float | None
    weight_decay_bias: float | None
    lr_scheduler_name: Literal["WarmupMultiStepLR", "WarmupCosineLR", "WarmupStepWithFixedGammaLR"]
    clip_type: Annotated[Literal["value", "norm"], Key("SOLVER.CLIP_GRADIENTS.CLIP_TYPE")]
    mixed_precision: Annotated[bool, Key("SOLVER.AMP.ENABLED")]
    precision: Annotated[Literal["auto", "bf16", "fp16"], Key("SOLVER.AMP.PRECISION")] = "auto"
    """Of mixed precision; auto: bf16 where the device has it, else fp16."""
    ema_decay: ShareBelow1 = 0.0
    """The exponential moving average of the weights, which mining uses and a run ends with, keeps
    this share of itself in every iteration; 0: there is none."""
    checkpoint_period: Count
    checkpoint_seconds: Annotated[int, Field(gt=0), Expected("more than 0")] = 600
    """A checkpoint is saved after so many seconds, whatever the period."""
    checkpoints_kept: Count = 2
    """States of a stage on disk: the newest, and some before it."""

    def bounded(self, images: int, ranks: int) -> Mapping[str, int]:
        """Return values of keys for a batch that a dataset has the images of; none where it has.

        Of annotated images there may be fewer: batches repeat some.

        Args:
            images: of the dataset, tiles included.
            ranks: processes that share a batch; each has an image at least.
        """
        if self.batch_size <= images:
            return {}
        share = max(1, images // ranks)
        batch = {"SOLVER.IMS_PER_BATCH": share * ranks}
        return {**batch, "SOLVER.ACCUMULATION": gcd(share, self.accumulation)}

    def check_shares(self, ranks: int) -> None:
        """Check that so many processes can share a batch, and split their shares into parts.

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
    """Size and colours of images, in training and at test."""

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
    """Of the shorter side; for every image one of them is drawn."""
    max_size_train: Length
    """Of the longer side."""
    min_size_test: Length
    max_size_test: Length
    tile: Annotated[
        int, AfterValidator(tile_side), Expected(f"0, or a side of {LEAST_TILE} pixels or more")
    ] = 0
    """Side of the tiles of larger images, in pixels of these: the network sees them and the whole
    images, in training, mining, evaluation and prediction. 0: there are none."""
    random_flip: Literal["horizontal", "none"]
    """horizontal mirrors half of the images."""

    @property
    def mirrors(self) -> bool:
        """Whether half of the images is mirrored."""
        return self.random_flip == "horizontal"

    @property
    def fill(self) -> tuple[float, ...]:
        """The colour of nothing, BGR."""
        return self.pixel_mean[::-1] if self.format == "RGB" else self.pixel_mean

    def at_test(self) -> InferenceInput:
        """Return how images go through the network at test."""
        return InferenceInput(self.min_size_test, self.max_size_test, self.format)


class LoaderConfig(Section):
    """Which images are loaded, how often, and by whom."""

    group = "DATALOADER"

    num_workers: Annotated[int, Field(ge=-1), Expected("0 or more, or -1 for as many as help")]
    """Loader processes."""
    sampler: Annotated[
        Literal["TrainingSampler", "RepeatFactorTrainingSampler"], Key("DATALOADER.SAMPLER_TRAIN")
    ]
    """RepeatFactorTrainingSampler repeats images of rare classes; see `repeat_factors`."""
    repeat_threshold: Annotated[float, Field(ge=0, le=1), Expected("a share of the images, 0 to 1")]
    repeat_sqrt: bool
    aspect_ratio_grouping: bool
    """Whether images of one orientation share a batch, for little padding."""
    filter_empty_annotations: bool
    """Whether images without any annotation are left out."""
    cache_mib: NonNegative = 2048
    """Bound of the memory for decoded images, in MiB; 0 decodes every time."""
    max_unreadable: NonNegative = 10
    """Images that can't be decoded are skipped, and listed; more of them than this are an error."""


class AugmentedViewConfig(Section):
    """The second view of an image (end-to-end)."""

    group = "SPARSEDET.AUGMENTED_VIEW"

    jitter: Numbers = (0.5, 1.5)
    """The factors of contrast, brightness and saturation are each drawn from this range."""
    lighting: float = 1.2
    """Standard deviation of the PCA lighting noise, in units of ImageNet's colour spread."""
    erase: bool = True
    """Whether a rectangle of one random labelled box is blackened."""
    erase_area: Numbers = (0.4, 0.7)
    """Share of the box's area that the rectangle takes."""
    erase_aspect: Numbers = (0.3, 3.3)
    """The rectangle's width / height."""


class CopyPasteConfig(Section):
    """Objects copied from other images (augmented, staged)."""

    group = "SPARSEDET.STAGED"

    max_objects: Annotated[NonNegative, Key("SPARSEDET.STAGED.PASTES")] = 3
    """The most objects that are pasted into an image; 0: none. For each, another image is decoded
    where they don't all fit in DATALOADER.CACHE_MIB."""
    max_labels: Annotated[Count, Key("SPARSEDET.STAGED.PASTE_LABELS")] = 6
    """Annotated images with so many labels or fewer always take some; one with n labels, more than
    these, in `max_labels` / n of its turns."""
    scale: Annotated[Scales, Key("SPARSEDET.STAGED.PASTE_SCALE")] = (0.7, 1.4)
    """Range of the factor of an object's size."""


class ScaleJitterConfig(Section):
    """Images seen from nearer or farther (augmented, staged)."""

    group = "SPARSEDET.STAGED"

    share: Annotated[Share, Key("SPARSEDET.STAGED.ZOOM_SHARE")] = 0.5
    """Of the images; the others stay as they are."""
    scale: Annotated[Scales, Key("SPARSEDET.STAGED.ZOOM")] = (0.7, 1.4)
    """Range of the factor; below 1 the image shrinks within its frame."""


class StagedConfig(Section):
    """Training that pauses to mine its own images (staged)."""

    group = "SPARSEDET.STAGED"

    mine_at: Annotated[
        tuple[InnerShare, ...], Expected("shares of the iterations, between 0 and 1")
    ] = (0.375, 0.6875)
    """After these shares of the iterations the training images are mined."""
    min_iter: NonNegative = 100
    """But never before this iteration: a model that has seen little takes much for objects."""
    min_missing: Share = 0.4
    """Mined boxes are used where at least this share of the objects that the model finds has no
    label: of all of them, or of those of a class; and on images without any label. 0: everywhere.
    When labels are nearly complete, annotators may have skipped the other objects on purpose."""
    labels: bool = True
    """Whether a mined box whose object and class are sure is a label; False: an ignore region."""
    ignored: bool = True
    """Whether the others are ignore regions; False: they are background like anything else."""
    ignore_iou: IoU
    """Anchors and proposals that overlap an ignore region by this IoU are never background."""


class MiningConfig(Section):
    """What of the detections is mined (`sparsedet mine`, and between the stages of staged)."""

    group = "SPARSEDET.MINING"

    quantile: Share = 0.3
    """A detection is mined above this quantile of the model's scores on human boxes of its
    class."""
    max_threshold: Score = 0.9
    """A threshold is never above this: on few images a model learns its boxes by heart and scores
    them all near 1, which no other object reaches."""
    ignore_quantile: Annotated[Share, Key("SPARSEDET.MINING.DOUBTFUL_QUANTILE")] = 0.05
    """A detection that is no label becomes an ignore region from this quantile of the object scores
    (of all classes together) on human boxes on ..."""
    ignore_range: Annotated[Scores, Key("SPARSEDET.MINING.DOUBTFUL_RANGE")] = (0.3, 0.5)
    """... which is clipped to this range: what is an object more likely than not must not be
    punished, and ignoring all that the model hardly sees costs background."""
    min_label_score: Score = 0.5
    """A mined box is never a label below this score: it is more likely right than wrong. A model
    that has seen little scores human boxes low, too."""
    class_share: Share = 0.8
    """Its class is sure when it has at least this share of the score of all classes together ..."""
    class_precision: Share = 0.9
    """... and such scores name the classes of human boxes with this precision."""
    explained_iou: IoU = 0.5
    """An annotation explains a detection, whatever its class, from this IoU on."""
    nested_share: Share = 0.7
    """So does a box of its class when this share of the smaller of the two lies in the larger."""


class FeedbackConfig(Section):
    """What training takes from reviews; False trains as if nothing had been said of it."""

    group = "SPARSEDET.FEEDBACK"

    accepted: bool = True
    """Boxes that were accepted or edited are labels like those that people drew."""
    rejected: bool = True
    """Rejected boxes are negatives of their class in every step of the ROI heads."""
    exhaustive: bool = True
    """In images that a person marked as exhaustive, all that has no label is background; where
    single classes are complete, it is none of these. Such images stay in training without any
    label, too."""
    max_negatives: Count
    """The most rejected boxes per image and step; of more, these many are drawn. And the most
    proposals on ignore regions that are known not to be of complete classes: the surest."""


class ValidationConfig(Section):
    """Measuring a training on its way."""

    group = "SPARSEDET.VALIDATION"

    eval_period: Annotated[
        int,
        Field(ge=0),
        Expected("a number of iterations, or 0 for never"),
        Key("TEST.EVAL_PERIOD"),
    ]
    """Iterations between two measurements."""
    held_out: ShareBelow1 = 0.1
    """Without validation data of its own, a run sets this share of its exhaustive images aside, or
    where there are fewer than two, hides this share of its annotations from the training."""
    detections: Count = 100
    """Recall counts so many detections of an image."""
    patience: Annotated[int, Field(ge=0), Expected("a number of measurements, or 0 for no end")] = 0
    """The run ends once so many measurements in a row brought nothing better; 0: never."""


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

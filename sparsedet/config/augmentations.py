"""The keys of the methods' augmentations; see `sparsedet.config.sections`."""

from typing import Annotated

from sparsedet.config.constraints import (
    Count,
    Key,
    NonNegative,
    NonNegativeNumber,
    Scales,
    Section,
    Share,
    Shares,
)


class AugmentedViewConfig(Section):
    """The second view of an image (end-to-end)."""

    group = "SPARSEDET.AUGMENTED_VIEW"

    jitter: Scales = (0.5, 1.5)
    """Range of the factors of contrast, brightness and saturation."""
    lighting: NonNegativeNumber = 1.2
    """Standard deviation of the PCA lighting noise, in units of ImageNet's colour spread."""
    erase: bool = True
    """Whether a rectangle of one random labelled box is blackened."""
    erase_area: Shares = (0.4, 0.7)
    """Area of the rectangle as a share of the box's."""
    erase_aspect: Scales = (0.3, 3.3)
    """Aspect ratio (width / height) of the rectangle."""


class CopyPasteConfig(Section):
    """Objects copied from other images (augmented, staged)."""

    group = "SPARSEDET.STAGED"

    max_objects: Annotated[NonNegative, Key("SPARSEDET.STAGED.PASTES")] = 3
    """Maximum number of objects pasted into an image; 0: none. Each requires decoding another
    image, unless all fit in DATALOADER.CACHE_MIB."""
    max_labels: Annotated[Count, Key("SPARSEDET.STAGED.PASTE_LABELS")] = 6
    """Annotated images with at most this many labels always get some; one with n labels, more than
    these, in `max_labels` / n of its turns."""
    scale: Annotated[Scales, Key("SPARSEDET.STAGED.PASTE_SCALE")] = (0.7, 1.4)
    """Range of the scaling factor of objects."""


class ScaleJitterConfig(Section):
    """Images zoomed in or out (augmented, staged)."""

    group = "SPARSEDET.STAGED"

    share: Annotated[Share, Key("SPARSEDET.STAGED.ZOOM_SHARE")] = 0.5
    """Share of images; the others are unchanged."""
    scale: Annotated[Scales, Key("SPARSEDET.STAGED.ZOOM")] = (0.7, 1.4)
    """Range of the factor; below 1 the image shrinks within its frame."""

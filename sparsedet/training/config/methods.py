"""The training methods: what each one changes in a configuration.

- `plain`: Faster R-CNN on the labels as they are.
- `end-to-end`: SparseDet as published; two views, a common RPN, mining while training.
- `staged`: the training pauses twice to mine its own images, and goes on with sure boxes as labels
  and doubtful ones ignored, unless few labels are missing. Images that a person did not annotate
  count as annotated once something is mined on them. From the start labelled objects are pasted
  into other images, and some images are zoomed.
"""

from detectron2.config import CfgNode

from sparsedet.errors import ConfigError

METHODS = ("plain", "end-to-end", "staged")


def apply_method(cfg: CfgNode, method: str) -> None:
    """Set the keys that make `cfg` train by `method`."""
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r}; the methods are {', '.join(METHODS)}")
    two_views = method == "end-to-end"
    cfg.SPARSEDET.METHOD = method
    cfg.MODEL.META_ARCHITECTURE = "SparseDetRCNN" if two_views else "GeneralizedRCNN"
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "SparseRPN"
    cfg.MODEL.ROI_HEADS.NAME = "SparseROIHeads"
    # Nothing punishes what an image shows that nobody annotated. Two views learn from it
    # nevertheless; the other methods only where reviewers rejected boxes on it.
    cfg.MODEL.RPN.LABELLED_IMAGES_ONLY = True
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = not two_views

"""What is wrong with a configuration key, in words of the person who typed it."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from detectron2.config import CfgNode

from sparsedet.errors import ConfigError

GIVEN_ELSEWHERE = {
    "SEED": "--seed",
    "OUTPUT_DIR": "-o",
    "MODEL.DEVICE": "--device",
    "DATASETS.TRAIN": "--train",
    "DATASETS.TEST": "--val",
    "SPARSEDET.METHOD": "--method",
    "MODEL.META_ARCHITECTURE": "--method",
    "MODEL.PROPOSAL_GENERATOR.NAME": "--method",
    "MODEL.ROI_HEADS.NAME": "--method",
    "MODEL.RPN.LABELLED_IMAGES_ONLY": "--method",
    "DATALOADER.FILTER_EMPTY_ANNOTATIONS": "--method",
    "MODEL.ROI_HEADS.NUM_CLASSES": "the training data",
}
"""Keys that an option, or the data, decides."""

_MOST_NAMED = 3
_KINDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a tuple, as in (1, 2)",
    list: "a list, as in [1, 2]",
}


def unknown_key(cfg: CfgNode, key: str) -> ConfigError:
    """Return the error about a dotted key that `cfg` lacks, with one that may have been meant."""
    return ConfigError(f"no configuration key {key}{_hint(cfg, key)}")


def wrong_value(key: str, present: Any, value: Any) -> ConfigError:
    """Return the error about a value of another type than the `present` one has."""
    if isinstance(present, CfgNode):
        first = next(iter(present))
        return ConfigError(f"configuration key {key}: a group of keys, as {key}.{first}; set these")
    kind = _KINDS.get(type(present), f"a value like {present!r}")
    return ConfigError(f"configuration key {key}: {value!r}, expected {kind}")


def check_pairs(pairs: Sequence[str]) -> None:
    """Check that words are `KEY VALUE KEY VALUE ...`.

    Raises:
        ConfigError: naming the first key that comes with its value in one word, or has none.
    """
    for word in pairs[::2]:
        key, _, value = word.partition("=")
        if key and value:
            raise ConfigError(f"KEY VALUE pairs: {word!r}; write {key} {value}, with a space")
    if len(pairs) % 2:
        raise ConfigError(f"KEY VALUE pairs: {pairs[-1]!r} has no value")


def _hint(cfg: CfgNode, key: str) -> str:
    known = list(_dotted(cfg))
    upper = key.upper()
    same_leaf = [name for name in known if name.endswith(f".{upper}")]
    likely = same_leaf or get_close_matches(upper, known, n=1, cutoff=0.8)
    if not likely:
        return ""
    if option := GIVEN_ELSEWHERE.get(likely[0]):
        return f"; {likely[0]} is decided by {option}"
    return f"; did you mean {' or '.join(likely[:_MOST_NAMED])}?"


def _dotted(node: CfgNode, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield prefix + key
        if isinstance(value, CfgNode):
            yield from _dotted(value, f"{prefix}{key}.")

"""`KEY VALUE` pairs: set in a yacs tree, with errors in terms of the user's input."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from sparsedet.errors import ConfigError
from sparsedet.reading import quoted

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
"""Keys decided by an option, or by the data."""

_MOST_NAMED = 3
_KINDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a tuple, as in (1, 2)",
    list: "a list, as in [1, 2]",
}


def merge_pairs(cfg: CfgNode, pairs: Sequence[str]) -> None:
    """Set `KEY VALUE KEY VALUE ...`, values as Python literals; a single string may fill a tuple.

    Raises:
        ConfigError: naming the key that is unknown, has the wrong type, or is decided elsewhere.
    """
    check_pairs(pairs)
    for key, text in zip(pairs[::2], pairs[1::2], strict=True):
        if key in GIVEN_ELSEWHERE:
            raise ConfigError(f"configuration key {key}: decided by {GIVEN_ELSEWHERE[key]}")
        set_key(cfg, key, parse_value(text))


def check_pairs(pairs: Sequence[str]) -> None:
    """Check that words are `KEY VALUE KEY VALUE ...`.

    Raises:
        ConfigError: naming the first key that shares a word with its value, or has none.
    """
    for word in pairs[::2]:
        key, _, value = word.partition("=")
        if key and value:
            raise ConfigError(f"KEY VALUE pairs: {word!r}; write {key} {value}, with a space")
    if len(pairs) % 2:
        hint = "; data comes after --train" if Path(pairs[-1]).exists() else ""
        raise ConfigError(f"KEY VALUE pairs: {pairs[-1]!r} has no value{hint}")


def parse_value(text: str) -> Any:
    """Parse `text` as a YAML or Python literal; otherwise return the text itself."""
    try:
        return CfgNode._decode_cfg_value(text)
    # The last two: thousands of brackets.
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def set_key(cfg: CfgNode, key: str, value: Any) -> None:
    """Set one dotted key, checking its type; a single value may stand for a tuple of one.

    Raises:
        ConfigError: naming the key that is unknown, or has the wrong type.
    """
    node = cfg
    *parents, leaf = key.split(".")
    for parent in parents:
        node = node.get(parent) if isinstance(node, CfgNode) else None
    if not isinstance(node, CfgNode) or leaf not in node:
        raise ConfigError(f"no configuration key {key}{_hint(cfg, key)}")
    present = node[leaf]
    # yacs would accept None anywhere, and a dictionary for a group.
    if isinstance(present, CfgNode) or (value is None and present is not None):
        raise _wrong_value(key, present, value)
    if isinstance(present, tuple | list) and isinstance(value, str | int | float):
        value = (value,)
    if isinstance(present, float) and type(value) is int:
        value = float(value)
    try:
        cfg.merge_from_list([key, value])
    except (ValueError, AssertionError) as error:
        raise _wrong_value(key, present, value) from error


def dotted(node: CfgNode, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of a tree, groups included, with their values."""
    for key, value in node.items():
        yield prefix + key, value
        if isinstance(value, CfgNode):
            yield from dotted(value, f"{prefix}{key}.")


def _wrong_value(key: str, present: Any, value: Any) -> ConfigError:
    """Return the error for a value whose type differs from the `present` one's."""
    if isinstance(present, CfgNode):
        first = next(iter(present))
        return ConfigError(f"configuration key {key}: a group of keys, as {key}.{first}; set these")
    kind = _KINDS.get(type(present), f"a value like {present!r}")
    return ConfigError(f"configuration key {key}: {quoted(value)}, expected {kind}")


def _hint(cfg: CfgNode, key: str) -> str:
    known = [name for name, _ in dotted(cfg)]
    upper = key.upper()
    same_leaf = [name for name in known if name.endswith(f".{upper}")]
    likely = same_leaf or get_close_matches(upper, known, n=1, cutoff=0.8)
    if not likely:
        return ""
    if option := GIVEN_ELSEWHERE.get(likely[0]):
        return f"; {likely[0]} is decided by {option}"
    return f"; did you mean {' or '.join(likely[:_MOST_NAMED])}?"

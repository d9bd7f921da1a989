"""What is wrong with a configuration key, in words of the person who typed it."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from detectron2.config import CfgNode

from sparsedet.errors import ConfigError

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
    kind = _KINDS.get(type(present), f"a value like {present!r}")
    if isinstance(present, CfgNode):
        return ConfigError(
            f"configuration key {key}: a group of keys; set one of them, as {key}.KEY"
        )
    return ConfigError(f"configuration key {key}: {value!r}, expected {kind}")


def no_value(pair: str) -> ConfigError:
    """Return the error about a last word that has no value behind it."""
    key, equals, value = pair.partition("=")
    hint = f"; write {key} {value}, with a space" if equals and value else ""
    return ConfigError(f"KEY VALUE pairs: {pair!r} has no value{hint}")


def _hint(cfg: CfgNode, key: str) -> str:
    if "=" in key:
        return f"; write {key.replace('=', ' ', 1)}, with a space"
    known = list(_dotted(cfg))
    upper = key.upper()
    same_leaf = [name for name in known if name.endswith(f".{upper}")]
    likely = same_leaf or get_close_matches(upper, known, n=1, cutoff=0.8)
    return f"; did you mean {' or '.join(likely[:3])}?" if likely else ""


def _dotted(node: CfgNode, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key

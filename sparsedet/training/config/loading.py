"""Reading training configurations: by name from the package, or from a file, plus KEY VALUE."""

import logging
from collections.abc import Iterator, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode, get_cfg

from sparsedet.errors import ConfigError
from sparsedet.modeling import add_sparsedet_config
from sparsedet.modeling.weights.normalisation import follow_weights, needed_values
from sparsedet.training.config.key_errors import (
    GIVEN_ELSEWHERE,
    check_pairs,
    unknown_key,
    wrong_value,
)

_PACKAGE = "sparsedet.configs"
_MAX_DETAIL = 300
# What yacs and detectron2 let through for a broken file, an endless _BASE_ chain among them.
_BROKEN_CONFIG = (
    KeyError,
    ValueError,
    TypeError,
    AssertionError,
    AttributeError,
    RecursionError,
    yaml.YAMLError,
    OSError,
)


def names() -> list[str]:
    """Return the names of the configurations that come with the package."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in files(_PACKAGE).iterdir()
        if entry.name.endswith(".yaml")
    )


def load_config(name: str, overrides: Sequence[str] = ()) -> CfgNode:
    """Return the configuration `name` (of the package, or a YAML file) with `KEY VALUE` pairs set.

    Colour order and normalisation follow MODEL.WEIGHTS where the pairs don't set them.

    Raises:
        ConfigError: naming the configuration, key or value that is wrong.
    """
    cfg = default_config()
    if name in names():
        with as_file(files(_PACKAGE).joinpath(f"{name}.yaml")) as path:
            _merge_file(cfg, path)
    elif Path(name).is_file():
        _merge_file(cfg, Path(name))
    else:
        raise ConfigError(
            f"no configuration {name!r}: neither a file nor one of {', '.join(names())}"
        )
    former = needed_values(cfg)
    merge_pairs(cfg, overrides)
    follow_weights(cfg, former=former, given=overrides[::2])
    return cfg


def default_config() -> CfgNode:
    """Return detectron2's default configuration with sparsedet's keys."""
    cfg = get_cfg()
    add_sparsedet_config(cfg)
    return cfg


def merge_pairs(cfg: CfgNode, pairs: Sequence[str]) -> None:
    """Set `KEY VALUE KEY VALUE ...`, values as Python literals; a lone string may fill a tuple."""
    check_pairs(pairs)
    for key, text in zip(pairs[::2], pairs[1::2], strict=True):
        if key in GIVEN_ELSEWHERE:
            raise ConfigError(f"configuration key {key}: decided by {GIVEN_ELSEWHERE[key]}")
        set_key(cfg, key, parse_value(text))


def parse_value(text: str) -> Any:
    """Return the YAML or Python literal that `text` spells, else the text itself."""
    try:
        return CfgNode._decode_cfg_value(text)
    except (ValueError, SyntaxError):
        return text


def set_key(cfg: CfgNode, key: str, value: Any) -> None:
    """Set one dotted key, with its type checked; a single value may stand for a tuple of one."""
    node = cfg
    *parents, leaf = key.split(".")
    for parent in parents:
        node = node.get(parent) if isinstance(node, CfgNode) else None
    if not isinstance(node, CfgNode) or leaf not in node:
        raise unknown_key(cfg, key)
    present = node[leaf]
    # yacs lets None take any place, and a dictionary that of a group.
    if isinstance(present, CfgNode) or (value is None and present is not None):
        raise wrong_value(key, present, value)
    if isinstance(present, tuple | list) and isinstance(value, str | int | float):
        value = (value,)
    if isinstance(present, float) and type(value) is int:
        value = float(value)
    try:
        cfg.merge_from_list([key, value])
    except (ValueError, AssertionError) as error:
        raise wrong_value(key, present, value) from error


def read_config(path: Path) -> CfgNode:
    """Read the complete configuration that a run folder holds."""
    cfg = default_config()
    _merge_file(cfg, path)
    return cfg


def younger_keys(path: Path) -> list[str]:
    """Return the dotted keys that the configuration of a run folder lacks: it is older than they.

    Raises:
        ConfigError: when the file is broken.
    """
    read_config(path)
    return list(_missing(default_config(), yaml.safe_load(path.read_text(encoding="utf-8"))))


def _missing(expected: CfgNode, found: Any, prefix: str = "") -> Iterator[str]:
    for key, value in expected.items():
        if key not in found:
            yield prefix + key
        elif isinstance(value, CfgNode):
            yield from _missing(value, found[key], f"{prefix}{key}.")


def _merge_file(cfg: CfgNode, path: Path) -> None:
    # yacs logs what it merges.
    logging.getLogger("detectron2").setLevel(logging.WARNING)
    # And what it passes over, of which a user can mend nothing.
    logging.getLogger("yacs.config").setLevel(logging.ERROR)
    try:
        # detectron2's default would let a file call any Python function.
        cfg.merge_from_file(str(path), allow_unsafe=False)
    except _BROKEN_CONFIG as error:
        said = " ".join(str(error).split())[:_MAX_DETAIL] or type(error).__name__
        raise ConfigError(f"{path}: not a usable configuration ({said})") from error

"""Reading training configurations: by name from the package, or from a file, plus KEY VALUE."""

import logging
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode, get_cfg

from sparsedet.errors import ConfigError
from sparsedet.modeling import add_sparsedet_config

_PACKAGE = "sparsedet.configs"


def names() -> list[str]:
    """Return the names of the configurations that come with the package."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in files(_PACKAGE).iterdir()
        if entry.name.endswith(".yaml")
    )


def load_config(name: str, overrides: Sequence[str] = ()) -> CfgNode:
    """Return the configuration `name` (of the package, or a YAML file) with `KEY VALUE` pairs set.

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
    merge_pairs(cfg, overrides)
    return cfg


def default_config() -> CfgNode:
    """Return detectron2's default configuration with sparsedet's keys."""
    cfg = get_cfg()
    add_sparsedet_config(cfg)
    return cfg


def merge_pairs(cfg: CfgNode, pairs: Sequence[str]) -> None:
    """Set `KEY VALUE KEY VALUE ...`, values as Python literals; a lone string may fill a tuple."""
    if len(pairs) % 2:
        raise ConfigError(f"KEY VALUE pairs: {pairs[-1]!r} has no value")
    for key, text in zip(pairs[::2], pairs[1::2], strict=True):
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
        raise ConfigError(f"no configuration key {key}")
    if isinstance(node[leaf], tuple | list) and isinstance(value, str | int | float):
        value = (value,)
    try:
        cfg.merge_from_list([key, value])
    except (ValueError, AssertionError) as error:
        raise ConfigError(f"configuration key {key}: {error}") from error


def read_config(path: Path) -> CfgNode:
    """Read the complete configuration that a run folder holds."""
    cfg = default_config()
    _merge_file(cfg, path)
    return cfg


def _merge_file(cfg: CfgNode, path: Path) -> None:
    # yacs logs what it merges.
    logging.getLogger("detectron2").setLevel(logging.WARNING)
    try:
        cfg.merge_from_file(str(path))
    except KeyError as error:
        raise ConfigError(f"{path}: {error.args[0]}") from error
    except (ValueError, AssertionError, yaml.YAMLError, OSError) as error:
        raise ConfigError(f"{path}: {error}") from error

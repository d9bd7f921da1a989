"""The configuration of a training: typed sections, and the yacs tree for building models.

Configurations are YAML files, by name from the package or by path, overridden by `KEY VALUE` pairs.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, get_args

import yaml
from detectron2.config import CfgNode, get_cfg

from sparsedet.config.augmentations import AugmentedViewConfig, CopyPasteConfig, ScaleJitterConfig
from sparsedet.config.bounds import check_bounds
from sparsedet.config.key_values import dotted, merge_pairs, set_key
from sparsedet.config.sections import (
    SECTIONS,
    FeedbackConfig,
    InputConfig,
    LoaderConfig,
    Method,
    MiningConfig,
    ModelConfig,
    SolverConfig,
    StagedConfig,
    ValidationConfig,
)
from sparsedet.errors import ConfigError, SparseDetError
from sparsedet.modeling import add_sparsedet_config
from sparsedet.modeling.timm_backbone import BUILDER, check_timm
from sparsedet.modeling.weights.normalisation import follow_weights, needed_values
from sparsedet.reading import quoted
from sparsedet.run_folder import RunFolder
from sparsedet.wording import first_of
from sparsedet.yaml_reading import read_yaml

METHODS: tuple[Method, ...] = get_args(Method)
"""The training methods:

- `plain`: Faster R-CNN on the labels as they are.
- `augmented`: `plain`, with objects pasted into other images and jittered scales: what a detector
  gains on few labels without knowing that some are missing.
- `end-to-end`: SparseDet as published; two views, a common RPN, mining while training.
- `staged`: the training pauses twice to mine its own images, and continues with sure boxes as
  labels and others as ignore regions, unless few labels are missing. Images that a person did not
  annotate count as annotated once something is mined on them. Augments as `augmented` does.
"""

AUTO = "auto"
"""The name of a configuration whose image size, anchors and tiles are chosen when a run starts, see
`sparsedet.config.auto`; `auto:NAME` chooses from another one than `DEFAULT`."""
DEFAULT = "lite0_fpn"
_PACKAGE = "sparsedet.configs"
_PLACE_KEYS = ("MODEL.DEVICE", "OUTPUT_DIR")
"""Where a run happens does not change its result."""
_BASE = "_BASE_"
"""The key that names the base files of a configuration."""
_MOST_FILES = 20
_MAX_DETAIL = 300
# Errors that yacs and detectron2 raise for a broken file, including a cyclic _BASE_ chain.
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


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """A validated configuration."""

    node: CfgNode
    """All keys, frozen; for detectron2, which builds models, optimisers and schedules from it."""
    model: ModelConfig
    solver: SolverConfig
    input: InputConfig
    loader: LoaderConfig
    augmented_view: AugmentedViewConfig
    copy_paste: CopyPasteConfig
    scale_jitter: ScaleJitterConfig
    staged: StagedConfig
    mining: MiningConfig
    feedback: FeedbackConfig
    validation: ValidationConfig

    @classmethod
    def of(cls, node: CfgNode) -> "TrainingConfig":
        """Return the configuration of a yacs tree.

        Raises:
            ConfigError: naming the key with an invalid value.
        """
        node = node.clone()
        node.freeze()
        values = dict(dotted(node))
        check_bounds(values)
        return cls(
            node=node,
            model=ModelConfig.read(values),
            solver=SolverConfig.read(values),
            input=InputConfig.read(values),
            loader=LoaderConfig.read(values),
            augmented_view=AugmentedViewConfig.read(values),
            copy_paste=CopyPasteConfig.read(values),
            scale_jitter=ScaleJitterConfig.read(values),
            staged=StagedConfig.read(values),
            mining=MiningConfig.read(values),
            feedback=FeedbackConfig.read(values),
            validation=ValidationConfig.read(values),
        )

    def with_values(self, values: Mapping[str, Any]) -> "TrainingConfig":
        """Return the configuration with changed values of some dotted keys.

        Raises:
            ConfigError: naming the key that is unknown, or has an invalid value.
        """
        node = _thawed(self.node)
        for key, value in values.items():
            set_key(node, key, value)
        return TrainingConfig.of(node)

    def prepared(self, *, method: str, seed: int, classes: int) -> "TrainingConfig":
        """Return the configuration of a run, with keys decided by method, seed and data.

        Raises:
            ConfigError: naming the method, or the key with an invalid value.
        """
        node = _thawed(self.node)
        apply_method(node, method)
        node.MODEL.ROI_HEADS.NUM_CLASSES = classes
        node.SEED = seed
        follow_weights(node)
        if self.model.backbone == BUILDER:
            check_timm(node)
        return TrainingConfig.of(node)

    def dump(self) -> str:
        """Return all keys as YAML, for `read_config`."""
        text: str = self.node.dump()
        return text

    def dump_result_keys(self) -> str:
        """Return what determines a run's result, as YAML; where it happens is left empty."""
        return self.with_values(dict.fromkeys(_PLACE_KEYS, "")).dump()

    def differing_keys(self, other: "TrainingConfig") -> list[str]:
        """Return the keys that differ from `other`, except for where a run happens."""
        theirs = dict(dotted(other.node))
        return [
            key
            for key, value in dotted(self.node)
            if not isinstance(value, CfgNode)
            and key not in _PLACE_KEYS
            and _plain(value) != _plain(theirs[key])
        ]


def apply_method(node: CfgNode, method: str) -> None:
    """Set the keys of a training method.

    Raises:
        ConfigError: when there is no such method.
    """
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r}; the methods are {', '.join(METHODS)}")
    two_views = method == "end-to-end"
    node.SPARSEDET.METHOD = method
    node.MODEL.META_ARCHITECTURE = "SparseDetRCNN" if two_views else "GeneralizedRCNN"
    node.MODEL.PROPOSAL_GENERATOR.NAME = "SparseRPN"
    node.MODEL.ROI_HEADS.NAME = "SparseROIHeads"
    # On images that nobody annotated, nothing counts as background. Two views learn from them
    # nevertheless; the other methods only if reviewers rejected boxes on them.
    node.MODEL.RPN.LABELLED_IMAGES_ONLY = True
    node.DATALOADER.FILTER_EMPTY_ANNOTATIONS = not two_views


def names() -> list[str]:
    """Return the names of the configurations that come with the package."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in files(_PACKAGE).iterdir()
        if entry.name.endswith(".yaml")
    )


def is_auto(name: str) -> bool:
    """Return whether a configuration's name stands for a choice."""
    return name.partition(":")[0] == AUTO


def load_config(name: str, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Return the configuration `name` (of the package, or a YAML file) with `KEY VALUE` pairs set.

    Colour order and normalisation follow MODEL.WEIGHTS unless the pairs set them. `auto` is
    what the choice starts from.

    Raises:
        ConfigError: naming the invalid configuration, key or value.
    """
    return TrainingConfig.of(load_node(name, overrides))


def load_node(name: str, overrides: Sequence[str] = ()) -> CfgNode:
    """Return a configuration as a yacs tree; see `load_config`."""
    node = _default_node()
    if is_auto(name):
        name = name.partition(":")[2] or DEFAULT
    if name in names():
        with as_file(files(_PACKAGE).joinpath(f"{name}.yaml")) as path:
            _merge_file(node, path)
    elif Path(name).is_file():
        _merge_file(node, Path(name))
    else:
        raise ConfigError(
            f"no configuration {name!r}: neither a file nor one of {', '.join([AUTO, *names()])}"
        )
    former = needed_values(node)
    merge_pairs(node, overrides)
    follow_weights(node, former=former, given=overrides[::2])
    return node


def read_config(path: Path) -> TrainingConfig:
    """Read the complete configuration of a run folder.

    Raises:
        ConfigError: naming the file, and what is invalid.
        RunError: when the run has other classes than the model.
    """
    node = _default_node()
    _merge_file(node, path)
    # All runs have all sections; those at the end of a file that was cut off would have defaults.
    if lacking := sorted(_default_node().keys() - read_yaml(path).keys()):
        raise ConfigError(
            f"{path}: incomplete, without {first_of(lacking, 3)}; restore it, or train again"
        )
    # Wherever a model is used, its configuration is read: a class of it would have no name.
    RunFolder(path.parent).check_outputs(node.MODEL.ROI_HEADS.NUM_CLASSES)
    try:
        return TrainingConfig.of(node)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _default_node() -> CfgNode:
    """Return detectron2's default configuration with sparsedet's keys."""
    node = get_cfg()
    add_sparsedet_config(node)
    for section in SECTIONS:
        for key, value in section.defaults().items():
            group = node
            *parents, leaf = key.split(".")
            for parent in parents:
                group = group.setdefault(parent, CfgNode())
            group[leaf] = value
    return node


def _merge_file(node: CfgNode, path: Path) -> None:
    # yacs logs what it merges.
    logging.getLogger("detectron2").setLevel(logging.WARNING)
    # And what it skips, which no user can fix.
    logging.getLogger("yacs.config").setLevel(logging.ERROR)
    _check_files(path, [])
    try:
        # detectron2's default would let a file call any Python function.
        node.merge_from_file(str(path), allow_unsafe=False)
    except _BROKEN_CONFIG as error:
        said = " ".join(str(error).split())[:_MAX_DETAIL] or type(error).__name__
        raise ConfigError(f"{path}: not a usable configuration ({said})") from error


def _check_files(path: Path, checked: list[Path]) -> None:
    """Refuse files that must not reach detectron2: it expands aliases, and fetches `_BASE_` by
    HTTP.

    Args:
        path: of a configuration.
        checked: files in the chain of bases so far; `path` is added.
    """
    if len(checked) >= _MOST_FILES:
        raise ConfigError(f"{path}: based on more than {_MOST_FILES} files; is it based on itself?")
    checked.append(path)
    try:
        content = read_yaml(path)
    except SparseDetError as error:
        said = str(error).removeprefix(f"{path}: ")
        raise ConfigError(f"{path}: not a usable configuration ({said})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: not a usable configuration (it has no keys)")
    bases = content.get(_BASE, [])
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str) or "://" in base:
            raise ConfigError(f"{path}: {_BASE} is {quoted(base)}, expected the path of a file")
        _check_files(path.parent / Path(base).expanduser(), checked)


def _thawed(node: CfgNode) -> CfgNode:
    """Return a mutable copy."""
    copy = node.clone()
    copy.defrost()
    return copy


def _plain(value: object) -> object:
    """Return nested tuples as lists: a file doesn't distinguish the two."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value

"""The class names of a YOLO dataset: `data.yaml`, or `classes.txt` with one name in each line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsedet.errors import AnnotationError


def read_names(path: Path) -> tuple[Mapping[str, Any], dict[int, str]]:
    """Return the content of `data.yaml`, and its class names by their index.

    Raises:
        AnnotationError: when it is no YAML, has no proper names, or describes keypoints.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text("utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: not valid YAML ({error})") from error
    except RecursionError as error:
        raise AnnotationError(f"{path}: not valid YAML for a dataset (nested too deep)") from error
    if not isinstance(content, dict) or not content.get("names"):
        raise AnnotationError(f"{path}: has no `names` of classes")
    if "kpt_shape" in content:
        raise AnnotationError(f"{path}: describes keypoints (kpt_shape), sparsedet reads boxes")
    raw = content["names"]
    if isinstance(raw, list):
        raw = dict(enumerate(raw))
    if not isinstance(raw, dict):
        raise AnnotationError(f"{path}: names is {raw!r}, expected a list or `index: name` pairs")
    names = {_index(path, key): _name(path, value) for key, value in raw.items()}
    count = content.get("nc")
    if isinstance(count, int) and count != len(names):
        raise AnnotationError(f"{path}: nc is {count}, but names has {len(names)} classes")
    _check_unique(path, names)
    return content, dict(sorted(names.items()))


def read_classes(path: Path) -> dict[int, str]:
    """Return the class names of `classes.txt` by their index, the number of the line from 0 on.

    Raises:
        AnnotationError: when two classes have one name, or there is none.
    """
    lines = [line.strip() for line in path.read_text("utf-8-sig").rstrip().splitlines()]
    if not lines or not all(lines):
        raise AnnotationError(f"{path}: an empty line where a class name should be")
    names = dict(enumerate(lines))
    _check_unique(path, names)
    return names


def _index(path: Path, key: object) -> int:
    text = str(key)
    if isinstance(key, bool) or not text.isdecimal():
        raise AnnotationError(f"{path}: names has the class index {key!r}, expected 0, 1, 2, ...")
    return int(text)


def _name(path: Path, value: object) -> str:
    # YAML reads `no` as a truth value and 1.10 as 1.1.
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise AnnotationError(f"{path}: names has {value!r}, which is no text; put it in quotes")
    return str(value)


def _check_unique(path: Path, names: Mapping[int, str]) -> None:
    first: dict[str, int] = {}
    for index, name in names.items():
        if first.setdefault(name, index) != index:
            raise AnnotationError(f"{path}: classes {first[name]} and {index} are both {name!r}")

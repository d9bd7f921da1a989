"""Read YAML of unknown origin; separate from `reading`, which imports faster."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from sparsedet.errors import SparseDetError
from sparsedet.reading import MOST_SETTINGS, ODD_VALUES, read_text

_MOST_VALUES = 100_000
"""Maximum number of values in a YAML file, counting those repeated by aliases."""
_LONGEST_QUOTE = 100
"""Maximum number of characters shown in an error."""


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain data; see `parse_yaml`."""
    return parse_yaml(read_text(path, "YAML file", most=MOST_SETTINGS), str(path))


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML text: plain data, without duplicate keys.

    Aliases may repeat values, but only as many as in a hand-written file: a few lines could expand
    to gigabytes.

    Args:
        text: a single document.
        where: its name in errors.

    Raises:
        SparseDetError: naming the invalid line.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > _MOST_VALUES:
            raise SparseDetError(
                f"{where}: expands to more than {_MOST_VALUES:,} values through aliases"
            )
        return loader.construct_document(node)
    except RecursionError:
        raise SparseDetError(f"{where}: not valid YAML (nested too deeply)") from None
    # Odd values have a tag that they don't fit, such as `!!timestamp x`, or thousands of digits.
    except (yaml.YAMLError, *ODD_VALUES) as error:
        place, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f" at line {place.line + 1}" if place else ""
        if isinstance(error, _RepeatedKeyError):
            raise SparseDetError(f"{where}: {problem}{line}") from error
        said = f" ({problem[:_LONGEST_QUOTE]})" if problem else ""
        raise SparseDetError(f"{where}: not valid YAML{line}{said}") from error


def _size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Return the number of values in a node; `known` caches counts by id."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        if (size := known[id(node)]) is None:
            raise yaml.MarkedYAMLError(
                problem="an alias within itself", problem_mark=node.start_mark
            )
        return size
    known[id(node)] = None
    parts = [
        part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))
    ]
    known[id(node)] = size = 1 + sum(_size(part, known) for part in parts)
    return size


class _RepeatedKeyError(yaml.constructor.ConstructorError):
    """A mapping has a duplicate key."""


class _Loader(yaml.SafeLoader):
    """Reads plain data and refuses duplicate keys, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise _RepeatedKeyError(
                    problem=f"duplicate key {key.value[:_LONGEST_QUOTE]}",
                    problem_mark=key.start_mark,
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)

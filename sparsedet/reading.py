"""Read files of unknown origin: one reader per kind, one line per error.

Irregular files are refused before they are opened (a pipe would block forever), and so are files
far too large for their kind. A byte order mark is skipped. Invalid content is a `SparseDetError`
that names the file.
"""

import json
import os
import reprlib
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsedet.errors import SparseDetError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

MOST_DATA = 4 << 30
"""Maximum bytes of annotations or another file that grows with the data; COCO's largest has half
of 1 GiB."""
MOST_SETTINGS = 1 << 20
"""Maximum bytes of a file that people write by hand."""
_CHUNK = 1 << 20  # bytes
ODD_VALUES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What parsing code raises for content of an unexpected shape."""
_LONGEST_VALUE = 60
"""Maximum length of a wrong value quoted in an error."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = _LONGEST_VALUE
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "finite_number": "a number",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "an object",
    "string_type": "text",
}
"""Kinds of pydantic errors -> what a JSON file should contain."""
_NO_OBJECT = "not a JSON object"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_bytes(path: Path, what: str = "file", *, most: int = MOST_DATA) -> bytes:
    """Read a regular file.

    Args:
        path: of the file.
        what: the expected kind of file, for errors.
        most: maximum size in bytes.

    Raises:
        SparseDetError: when there is no such file, or it can't be read.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "not a file")
            raise SparseDetError(f"{path}: is {kind}, expected a {what}")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise SparseDetError(
                    f"{path}: {size / (1 << 20):,.0f} MiB is too large for a {what} (at most "
                    f"{most >> 20:,} MiB)"
                )
            # `read(most)` would allocate that much, which machines with less memory refuse.
            data = file.read(size + 1)
            while size < len(data) <= most:  # it has grown, or is virtual and has no size
                size, data = len(data), data + file.read(_CHUNK)
            return data[:most]
    except FileNotFoundError:
        if path.is_symlink():
            what = f"is a link to {path.readlink()}, which does not exist"
            raise SparseDetError(f"{path}: {what}") from None
        raise SparseDetError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        # ValueError: a name with a zero byte.
        said = getattr(error, "strerror", None) or error
        raise SparseDetError(f"{path}: can't be read ({said})") from error


def read_text(path: Path, what: str = "text file", *, most: int = MOST_DATA) -> str:
    """Read a UTF-8 file; see `read_bytes`."""
    data = read_bytes(path, what, most=most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data, error) from error


def read_json(path: Path) -> Any:
    """Read a JSON file; if a key is repeated, the last value counts.

    Raises:
        SparseDetError: with the path, and the position of a syntax error.
    """
    import orjson

    data = read_bytes(path, "JSON file")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # Python's own parser accepts NaN and numbers of any length, and gives better errors.
        pass
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data, error) from error
    except RecursionError:
        raise SparseDetError(f"{path}: nested too deeply for a file of annotations") from None
    except json.JSONDecodeError as error:
        # Valid JSON up to here: a value per line, or a file that was written twice.
        is_more = error.msg == "Extra data"
        advice = "sparsedet reads no JSON Lines" if is_more else "is the file complete?"
        raise SparseDetError(
            f"{path}: not valid JSON at line {error.lineno}, column {error.colno} ({error.msg}); "
            f"{advice}"
        ) from error
    except ValueError as error:
        raise SparseDetError(f"{path}: holds a number of thousands of digits") from error


def _not_utf8(path: Path, data: bytes, error: UnicodeDecodeError) -> SparseDetError:
    found = "but UTF-16" if data.startswith(_UTF16) else f"(byte {error.start})"
    return SparseDetError(f"{path}: not UTF-8 text {found}")


def read_object(path: Path, fields: "type[BaseModel]", advice: str = "") -> dict[str, Any]:
    """Read a JSON object with required fields; others are allowed.

    Args:
        path: of the file.
        fields: a model of them; values are validated, and returned unchanged.
        advice: what to do about invalid content.

    Raises:
        SparseDetError: naming the first invalid field.
    """
    from pydantic import ValidationError

    content = read_json(path)
    try:
        fields.model_validate(content, strict=True)
    except ValidationError as error:
        said = "; ".join(filter(None, (first_problem(error), advice)))
        raise SparseDetError(f"{path}: {said}") from error
    assert isinstance(content, dict)
    return content


def read_list(path: Path, key: str = "") -> list[Any]:
    """Read a JSON file that is a list, or an object with one at `key`.

    Raises:
        SparseDetError: when it is neither.
    """
    content = read_json(path)
    if key:
        if not isinstance(content, dict):
            raise SparseDetError(f"{path}: {_NO_OBJECT}")
        content = content.get(key)
    if not isinstance(content, list):
        raise SparseDetError(f"{path}: no list{f' of {key}' if key else ''}")
    return content


def first_problem(error: "ValidationError") -> str:
    """Describe the first invalid field of a model."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}".removeprefix(": ")
    if not key:
        return _NO_OBJECT
    found = quoted(problem["input"])
    if (kind := _EXPECTED.get(problem["type"])) is not None:
        return f"{key} is {found}, expected {kind}"
    return f"{key} = {found}: {problem['msg'].lower()}"


def quoted(value: object) -> str:
    """Return a value for an error, truncated."""
    try:
        text = _SHORT.repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SparseDetError: with the path, and the position of a syntax error.
    """
    text = read_text(path, "TOML file", most=MOST_SETTINGS)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SparseDetError(f"{path}: nested too deeply for settings") from None
    except tomllib.TOMLDecodeError as error:
        # tomllib can't "overwrite" or "declare" what is there already.
        if str(error).startswith("Cannot "):
            hint = "a section or key may occur only once: change the existing line"
        else:
            hint = 'text needs quotes, as in: device = "cpu"'
        raise SparseDetError(f"{path}: not valid TOML ({error}); {hint}") from error
    except ValueError as error:
        raise SparseDetError(f"{path}: holds a number of thousands of digits") from error

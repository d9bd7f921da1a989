"""What a server's answers must hold, checked where they come in.

Behind an address may be a login page, a proxy with an opinion, or a server of another version. An
answer that is not what its request asks for is one error; it never counts as done.
"""

import json
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from sparsedet.errors import ToolError

T = TypeVar("T")

_SHOWN = 80
"""So much of an odd answer is repeated in an error."""
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxstring, _SHORT.maxlong = 2, 4, 3, 30, 30
_LARGEST_ID = 2**63 - 1
_MOST_DIGITS = 300
"""Of a whole number: any more, and it is no float."""
_SPARE_FRAMES = 400
"""An answer is parsed with so many frames on the stack, so that whatever is nested so little that
it can be read can be compared and written, too."""
_NO_SPACE = re.compile(r"[^ \t\n\r]")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


class OddAnswerError(ToolError):
    """An answer of a server is not what was asked for."""

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(
            f"Label Studio's answer makes no sense ({what}): {problem}; does a proxy or a login "
            "page answer in its place? Repeat the command once Label Studio itself answers"
        )
        self.problem = problem


class NoJsonError(ValueError):
    """The message says why a body is no JSON; it holds nothing of the body."""


def parse_json(body: bytes) -> Any:
    """Return what a body of JSON holds.

    Numbers that JSON does not have (NaN, 1e400, thousands of digits) are read as null, and halves
    of characters as the sign for unreadable ones: they spoil the value that they are, and not the
    whole answer.

    Raises:
        NoJsonError: when it is none, or nested so deeply that no program writes it.
    """
    with json_errors():
        text = body.decode("utf-8-sig")
        start = after_space(text, 0)
        value, end = with_spare_frames(lambda: value_at(text, start))
        if after_space(text, end) < len(text):
            raise ValueError("more than a value")
    return whole_characters(value) if has_halves(text) else value


@contextmanager
def json_errors() -> Iterator[None]:
    """Raise errors of decoding and parsing in the block as a `NoJsonError`."""
    try:
        yield
    except UnicodeDecodeError:
        raise NoJsonError("is not encoded as UTF-8") from None
    except RecursionError:
        raise NoJsonError("is nested too deeply") from None
    except ValueError:
        raise NoJsonError("is no JSON") from None


def value_at(text: str, start: int) -> tuple[Any, int]:
    """Return the JSON value that begins at a place of a text, and the place behind it.

    Raises:
        ValueError: when there is none, or only a part of one.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python makes no number of thousands of digits; to look at each costs half as much again.
        return _DECODER_OF_LONG_NUMBERS.raw_decode(text, start)


def after_space(text: str, start: int) -> int:
    """Return the place of the next character that is no space of JSON; of the end without any."""
    found = _NO_SPACE.search(text, start)
    return found.start() if found else len(text)


def with_spare_frames(parse: Callable[[], T], frames: int = _SPARE_FRAMES) -> T:
    """Return what `parse` does, which is called with so many frames more on the stack."""
    return with_spare_frames(parse, frames - 1) if frames else parse()


def has_halves(text: str) -> bool:
    """Whether JSON may hold halves of characters, as escapes: mostly in pairs, one character."""
    return "\\ud" in text or "\\uD" in text


def whole_characters(value: Any) -> Any:
    """Return a value with the sign for unreadable characters in the place of half ones."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return _without_lone_surrogates(value)
    return value


def shown(value: object) -> str:
    """Return what came, for an error: its kind and its beginning, with nothing unprintable."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        said = " ".join(value.split())
        if said.startswith("<"):
            return f"a page of HTML ({len(value)} characters)"
        return f"the text {_beginning(said)}" if said else "an empty text"
    kind = {dict: "an object", list: "a list", bool: "a truth value"}.get(type(value), "a number")
    if isinstance(value, dict | list) and not value:
        return f"{kind} that is empty"
    return f"{kind}, {_SHORT.repr(value)[: 2 * _SHOWN]}"


def as_object(value: object, what: str, *, of: str = "the answer") -> dict[str, Any]:
    """Return an answer, or a part of one, that must be a JSON object.

    Args:
        value: it.
        what: what the request was for.
        of: names the part.

    Raises:
        OddAnswerError: when it is none.
    """
    if not isinstance(value, dict):
        _refuse(what, f"{of} should be an object, and is {shown(value)}")
    return value


def as_objects(value: object, what: str, *, of: str = "the answer") -> list[dict[str, Any]]:
    """Return an answer, or a part of one, that must be a list of JSON objects; see `as_object`."""
    if not isinstance(value, list):
        _refuse(what, f"{of} should be a list, and is {shown(value)}")
    for entry in value:
        as_object(entry, what, of=f"an entry of {'the list' if of == 'the answer' else of}")
    return value


def objects_of(answer: Mapping[str, Any], key: str, what: str) -> Sequence[dict[str, Any]]:
    """Return a list of objects that an answer holds under a key; see `as_objects`."""
    return as_objects(answer.get(key), what, of=repr(key))


def number(entry: Mapping[str, Any], key: str, what: str, *, least: int = 0) -> int:
    """Return a whole number of an answer.

    Raises:
        OddAnswerError: when there is none, or one below `least`.
    """
    value = entry.get(key)
    if type(value) is not int or not least <= value <= _LARGEST_ID:
        _refuse(what, f"{key!r} should be a whole number, and is {shown(value)}")
    return value


def identifier(entry: Mapping[str, Any], what: str, key: str = "id") -> int:
    """Return the number of a task, project or the like; see `number`."""
    return number(entry, key, what, least=1)


def text(entry: Mapping[str, Any], key: str, what: str) -> str:
    """Return a text of an answer; empty where it is absent or null.

    Raises:
        OddAnswerError: when it is something else.
    """
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        _refuse(what, f"{key!r} should be a text, and is {shown(value)}")
    return value


def check_annotations(value: object, what: str) -> list[dict[str, Any]]:
    """Return the annotations of a task, which may be none: null is an empty list.

    Their `result` is left to whoever reads boxes: people's scripts write anything into it.

    Raises:
        OddAnswerError: when they are none.
    """
    annotations = as_objects([] if value is None else value, what, of="its annotations")
    for annotation in annotations:
        identifier(annotation, what)
        for key in ("created_at", "updated_at"):
            _check_date(annotation, key, what)
        for key in ("completed_by", "updated_by", "parent_prediction"):
            # People are numbers, or records with one, by the kind of request.
            if annotation.get(key) is not None and not isinstance(annotation[key], dict):
                number(annotation, key, what)
        seconds = annotation.get("lead_time")
        if seconds is not None and not (
            type(seconds) in (int, float) and abs(seconds) <= _LARGEST_ID
        ):
            _refuse(what, f"'lead_time' should be a number, and is {shown(seconds)}")
    return annotations


def check_task(task: Mapping[str, Any], what: str) -> None:
    """Check what every task of an export has: a number, data, and annotations.

    Raises:
        OddAnswerError: when this one has not.
    """
    identifier(task, what)
    as_object(task.get("data"), what, of="its data")
    _check_date(task, "created_at", what)
    check_annotations(task.get("annotations"), what)


def _check_date(entry: Mapping[str, Any], key: str, what: str) -> None:
    date = text(entry, key, what)
    try:
        datetime.fromisoformat(date or "2000-01-01")
    except ValueError:
        _refuse(what, f"{key!r} should be a date, and is {shown(date)}")


def _refuse(what: str, problem: str) -> NoReturn:
    raise OddAnswerError(what, problem)


def _beginning(said: str) -> str:
    return repr(said if len(said) <= _SHOWN else f"{said[:_SHOWN]}...")


def _none(constant: str) -> None:
    """Return what NaN and Infinity are read as."""


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if value - value == 0 else None


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_none)
_DECODER_OF_LONG_NUMBERS = json.JSONDecoder(
    parse_float=_finite, parse_int=_whole, parse_constant=_none
)


def _without_lone_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATES.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_lone_surrogates(entry) for entry in value]
    if isinstance(value, dict):
        return {
            _without_lone_surrogates(key): _without_lone_surrogates(entry)
            for key, entry in value.items()
        }
    return value

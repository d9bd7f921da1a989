"""Validation of a server's answers on arrival.

An address may lead to a login page, a proxy, or a server of another version. An answer that does
not fit its request is an error; the request never counts as done.
"""

import json
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from sparsedet.wording import counted

from .request_errors import RequestFailedError

T = TypeVar("T")

_SHOWN = 80
"""Characters of an unexpected answer to quote in an error."""
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxstring, _SHORT.maxlong = 2, 4, 3, 30, 30
_LARGEST_ID = 2**63 - 1
_MOST_DIGITS = 300
"""Digits of an integer; with more, it does not fit into a float."""
_SPARE_FRAMES = 400
"""Stack frames reserved while parsing, so that anything parsed can also be compared and written."""
_NO_SPACE = re.compile(r"[^ \t\n\r]")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


class OddAnswerError(RequestFailedError):
    """A server's answer does not fit the request."""

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(
            f"unexpected answer from Label Studio ({what}): {problem}; is there a proxy or login "
            "page in front of it? Repeat the command once Label Studio itself answers"
        )
        self.problem = problem

    @property
    def is_of_one_object(self) -> bool:
        """A broken object says nothing about others."""
        return True


class NoJsonError(ValueError):
    """A body is not JSON; the message says why, without quoting the body."""


def parse_json(body: bytes) -> Any:
    """Parse a JSON body.

    Invalid numbers (NaN, 1e400, thousands of digits) are read as null, and lone surrogates as the
    replacement character, so that they spoil only their own value and not the whole answer.

    Raises:
        NoJsonError: if it is not JSON, or nested too deeply.
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
    """Turn errors of decoding and parsing in the block into `NoJsonError`."""
    try:
        yield
    except UnicodeDecodeError:
        raise NoJsonError("is not encoded as UTF-8") from None
    except RecursionError:
        raise NoJsonError("is nested too deeply") from None
    except ValueError:
        raise NoJsonError("is not JSON") from None


def value_at(text: str, start: int) -> tuple[Any, int]:
    """Return the JSON value at a position of a text, and the position after it.

    Raises:
        ValueError: if there is none, or only part of one.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python refuses integers of thousands of digits; checking each one would cost 50 % more
        # time.
        return _DECODER_OF_LONG_NUMBERS.raw_decode(text, start)


def after_space(text: str, start: int) -> int:
    """Return the position of the next character that is not JSON whitespace, or the end."""
    found = _NO_SPACE.search(text, start)
    return found.start() if found else len(text)


def with_spare_frames(parse: Callable[[], T], frames: int = _SPARE_FRAMES) -> T:
    """Call `parse` with additional frames on the stack, and return its result."""
    return with_spare_frames(parse, frames - 1) if frames else parse()


def has_halves(text: str) -> bool:
    """Whether JSON may contain escaped surrogates, which mostly come in valid pairs."""
    return "\\ud" in text or "\\uD" in text


def whole_characters(value: Any) -> Any:
    """Return a value with lone surrogates replaced by the replacement character."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return _without_lone_surrogates(value)
    return value


def shown(value: object) -> str:
    """Return a printable description of a value for an error: its type and beginning."""
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
    """Check that an answer, or part of one, is a JSON object, and return it.

    Args:
        value: the answer or part.
        what: the purpose of the request.
        of: name of the part.

    Raises:
        OddAnswerError: if it is not an object.
    """
    if not isinstance(value, dict):
        _refuse(what, f"{of} should be an object, but is {shown(value)}")
    return value


def as_objects(value: object, what: str, *, of: str = "the answer") -> list[dict[str, Any]]:
    """Check that an answer, or part of one, is a list of JSON objects; see `as_object`."""
    if not isinstance(value, list):
        _refuse(what, f"{of} should be a list, but is {shown(value)}")
    for entry in value:
        as_object(entry, what, of=f"an entry of {'the list' if of == 'the answer' else of}")
    return value


def objects_of(answer: Mapping[str, Any], key: str, what: str) -> Sequence[dict[str, Any]]:
    """Return the list of objects under a key of an answer; see `as_objects`."""
    return as_objects(answer.get(key), what, of=repr(key))


def number(entry: Mapping[str, Any], key: str, what: str, *, least: int = 0) -> int:
    """Return an integer of an answer.

    Raises:
        OddAnswerError: if there is none, or it is below `least`.
    """
    value = entry.get(key)
    if type(value) is not int or not least <= value <= _LARGEST_ID:
        _refuse(what, f"{key!r} should be a whole number, but is {shown(value)}")
    return value


def identifier(entry: Mapping[str, Any], what: str, key: str = "id") -> int:
    """Return the id of a task, project or other record; see `number`."""
    return number(entry, key, what, least=1)


def text(entry: Mapping[str, Any], key: str, what: str) -> str:
    """Return a text of an answer; empty if it is absent or null.

    Raises:
        OddAnswerError: if it is something else.
    """
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        _refuse(what, f"{key!r} should be a text, but is {shown(value)}")
    return value


def check_page(entries: Sequence[object], total: int, before: int, what: str) -> None:
    """Check that a page of a list is empty only at the list's end.

    Args:
        entries: those on the page.
        total: number of entries on all pages, in the same answer.
        before: number of entries that fit on the pages before.
        what: names the request in errors.

    Raises:
        OddAnswerError: if entries are missing: they would seem to be deleted.
    """
    if not entries and total > before:
        missing = counted(total, "entry", "entries")
        _refuse(what, f"an empty page, though {missing} should be there")


def check_annotations(value: object, what: str) -> list[dict[str, Any]]:
    """Return the annotations of a task; null is an empty list.

    Their `result` is checked where boxes are read: people's scripts write anything into it.

    Raises:
        OddAnswerError: if they are not annotations.
    """
    annotations = as_objects([] if value is None else value, what, of="its annotations")
    for annotation in annotations:
        identifier(annotation, what)
        for key in ("created_at", "updated_at"):
            _check_date(annotation, key, what)
        for key in ("completed_by", "updated_by", "parent_prediction"):
            # Depending on the request, people are ids, or records with an id.
            if annotation.get(key) is not None and not isinstance(annotation[key], dict):
                number(annotation, key, what)
        seconds = annotation.get("lead_time")
        if seconds is not None and not (
            type(seconds) in (int, float) and abs(seconds) <= _LARGEST_ID
        ):
            _refuse(what, f"'lead_time' should be a number, but is {shown(seconds)}")
    return annotations


def check_task(task: Mapping[str, Any], what: str) -> None:
    """Check that a task of an export has an id, data and annotations.

    Raises:
        OddAnswerError: if it lacks one of them.
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
        _refuse(what, f"{key!r} should be a date, but is {shown(date)}")


def _refuse(what: str, problem: str) -> NoReturn:
    raise OddAnswerError(what, problem)


def _beginning(said: str) -> str:
    return repr(said if len(said) <= _SHOWN else f"{said[:_SHOWN]}...")


def _none(constant: str) -> None:
    """Return the value for NaN and Infinity."""


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

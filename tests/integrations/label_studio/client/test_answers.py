"""Required content of answers, and errors for others."""

import json
import math
from typing import Any

import pytest

from sparsedet.integrations.label_studio.client.answers import (
    NoJsonError,
    OddAnswerError,
    as_objects,
    check_task,
    identifier,
    parse_json,
    shown,
)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("NaN", None),
        ("-Infinity", None),
        ("1e400", None),
        ("-1e400", None),
        ("1" + "0" * 5000, None),
        ("1e300", 1e300),
        ("12345678901234567890", 12345678901234567890),
        ("0.1", 0.1),
        ("-0.0", -0.0),
    ],
)
def test_a_number_that_json_lacks_spoils_no_more_than_itself(written: str, read: object) -> None:
    assert parse_json(f'[1, {{"a": {written}}}, "b"]'.encode()) == [1, {"a": read}, "b"]


@pytest.mark.parametrize(
    ("written", "read"),
    [(r"\ud83d\ude00", "\U0001f600"), (r"\ud83d", "\ufffd"), (r"a\uDE00b", "a\ufffdb")],
)
def test_what_is_read_can_be_written(written: str, read: str) -> None:
    value = parse_json(f'{{"{written}": ["{written}"]}}'.encode())
    assert value == {read: [read]}
    json.dumps(value, ensure_ascii=False).encode()


def test_what_is_nested_so_little_that_it_is_read_can_be_compared_and_written() -> None:
    def nested(depth: int) -> bytes:
        return b"[" * depth + b"]" * depth

    deepest = 0
    for depth in range(100, 1000, 25):
        try:
            value = parse_json(nested(depth))
        except NoJsonError:
            break
        deepest = depth
        assert json.loads(json.dumps(value, sort_keys=True)) == value
    assert deepest < 900, "the limit was not reached"
    assert deepest >= 200


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b'{"a": 1', b"[" * 10**6, b"nope"])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(NoJsonError) as caught:
        parse_json(body)
    assert len(str(caught.value)) < 40


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "nothing"),
        ("", "an empty text"),
        ("<html>" + "a" * 94, "a page of HTML (100 characters)"),
        ("\x1b[2J\u202e\x9b", r"the text '\x1b[2J\u202e\x9b'"),
        ([], "a list that is empty"),
        ({"a": ["b" * 1000]}, "an object, {'a': ['bbbbbbbbbbbb...bbbbbbbbbbbbb']}"),
        (True, "a truth value, True"),
        (1.5, "a number, 1.5"),
    ],
)
def test_what_came_is_said_shortly_and_escaped(value: object, said: str) -> None:
    assert shown(value) == said
    assert shown([value] * 10**5).isprintable()
    assert len(shown([value] * 10**5)) < 200


@pytest.mark.parametrize("id", [None, "3", 3.0, True, 0, -1, 2**63, [3], math.inf])
def test_what_is_no_number_of_anything(id: object) -> None:
    with pytest.raises(OddAnswerError, match=r"\(reading\): 'id' should be a whole number"):
        identifier({"id": id}, "reading")


@pytest.mark.parametrize("answer", [None, {}, "text", [1], [[]], [{}, None]])
def test_what_is_no_list_of_objects(answer: object) -> None:
    with pytest.raises(OddAnswerError, match=r"\(reading\): .* should be"):
        as_objects(answer, "reading")


@pytest.mark.parametrize("annotations", [None, [], [{"id": 1}], [{"id": 1, "lead_time": 0.5}]])
def test_tasks_that_are_whole(annotations: Any) -> None:
    check_task({"id": 1, "data": {}, "annotations": annotations}, "reading")

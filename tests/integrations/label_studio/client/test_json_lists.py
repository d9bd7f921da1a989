"""Long lists, parsed entry by entry."""

import json

import pytest

from sparsedet.integrations.label_studio.client import json_lists
from sparsedet.integrations.label_studio.client.answers import NoJsonError, parse_json
from sparsedet.integrations.label_studio.client.json_lists import begins_list, entries


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        " [ ] \n",
        "[1]",
        '[{"a": [1, {"b": "],["}]}, null,\t"x" , 2.5e3]',
        '["é\\u00e9"]\n',
        "[12345, -6.5e10]",
        '["\\ud83d\\ude00", "\\ud83d", NaN, 1e400]',
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
def test_entries_are_those_of_the_whole_list(
    text: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lists, "_PIECE", piece)
    assert list(entries(text.encode())) == parse_json(text.encode())


def test_entries_are_parsed_piece_by_piece() -> None:
    read = entries(b"[1, 2," + b" " * (1 << 21) + b"3, broken]")
    assert [next(read), next(read), next(read)] == [1, 2, 3]
    with pytest.raises(NoJsonError, match="is not JSON"):
        next(read)


@pytest.mark.parametrize("size", [1, 1000, (1 << 20) - 5, (1 << 22) + 1])
def test_entries_may_lie_across_pieces(size: int) -> None:
    values = [{"é": "é" * size}, 12345678, ["x" * size, 1.25e-3], -7]
    body = json.dumps(values, ensure_ascii=False).encode()
    assert list(entries(body)) == values


@pytest.mark.parametrize(
    "written",
    ["NaN", "1e400", "9" * 5000, '"\\ud83d"', '"\\ud83d\\ude00"', '{"\\udc00": [1]}', "1.5"],
)
def test_odd_values_are_read_as_in_a_whole_body(written: str) -> None:
    body = f'\ufeff[1, {written}, {{"a": {written}}}]'.encode()
    assert list(entries(body)) == parse_json(body)


def test_deep_nesting_is_refused_where_it_is_in_a_whole_body() -> None:
    for depth in (100, 100_000):
        body = b"[" * depth + b"]" * depth
        if depth == 100:
            assert list(entries(body)) == parse_json(body)
        else:
            with pytest.raises(NoJsonError, match="nested too deeply"):
                list(entries(body))


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"<html>", b"[", b"[1", b"[1,", b"[1 2]", b"[1,]", b"[1]]", b"[,1]", b"\xff[]"],
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(NoJsonError, match=r"is not JSON|UTF-8"):
        list(entries(body))


@pytest.mark.parametrize(
    ("body", "is_list"), [(b"\xef\xbb\xbf \n[", True), (b"{}", False), (b"", False)]
)
def test_what_begins_a_list(body: bytes, *, is_list: bool) -> None:
    assert begins_list(body) is is_list

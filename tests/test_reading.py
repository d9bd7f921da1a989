"""Readers accept valid files, and refuse others with one line that names the file."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from sparsedet.errors import SparseDetError
from sparsedet.reading import quoted, read_bytes, read_json, read_list, read_object, read_toml
from sparsedet.yaml_reading import parse_yaml, read_yaml

MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("read", "data", "value"),
    [
        (read_json, b'{"a": 1}', {"a": 1}),
        (read_json, b'{"a": [NaN, 1], "a": 2}', {"a": 2}),
        (read_toml, b"a = 1", {"a": 1}),
        (read_yaml, b"a: 1", {"a": 1}),
        (read_yaml, b"a: &a [1]\nb: *a", {"a": [1], "b": [1]}),
        (read_yaml, b"", None),
    ],
)
def test_ordinary_files_are_read_with_or_without_a_mark(
    read: Callable[[Path], Any], data: bytes, value: Any, tmp_path: Path
) -> None:
    for content in (data, MARK + data):
        (tmp_path / "a").write_bytes(content)
        assert read(tmp_path / "a") == value


def test_small_files_are_read_with_little_memory(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    program = "from pathlib import Path; from sparsedet.reading import read_json; "
    program += "print(read_json(Path('a.json')))"
    gib = 1 << 30
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (gib, gib)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.stdout, ended.stderr) == ("{'a': 1}\n", "")


def test_a_file_that_is_larger_than_its_system_says_is_read_in_full() -> None:
    version = Path("/proc/version")
    assert version.stat().st_size == 0
    assert read_bytes(version) == version.read_bytes()


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such file"),
        (Path.mkdir, "is a folder, expected a JSON file"),
        (os.mkfifo, "is a pipe"),
        (_loop, "can't be read (Too many levels of symbolic links)"),
    ],
)
def test_what_is_no_file_is_refused(
    make: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    make(path)
    with pytest.raises(SparseDetError) as error:
        read_json(path)
    assert f"{path}: {said}" in str(error.value)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(SparseDetError, match="can't be read"):
        read_bytes(Path(name))


def test_sizes_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * (1 << 20))
    assert len(read_bytes(path, most=1 << 20)) == 1 << 20
    path.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(SparseDetError, match=r"too large for a file \(at most 1 MiB\)"):
        read_bytes(path, most=1 << 20)


class _Fields(BaseModel):
    boxes: int
    names: list[str] = []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "not a JSON object; do it"),
        ("{}", "boxes is missing; do it"),
        ('{"boxes": "1"}', "boxes is '1', expected a whole number; do it"),
        ('{"boxes": 1, "names": ["a", 5]}', "names.1 is 5, expected text; do it"),
    ],
)
def test_fields_are_checked(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SparseDetError) as error:
        read_object(path, _Fields, "do it")
    assert str(error.value) == f"{path}: {said}"
    path.write_text('{"boxes": 1, "more": 2}')
    assert read_object(path, _Fields) == {"boxes": 1, "more": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"a": [1, 2', "is the file complete?"), ('{"a": 1}\n{"a": 2}\n', "reads no JSON Lines")],
)
def test_json_that_is_cut_off_or_a_value_per_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SparseDetError) as error:
        read_json(path)
    assert str(error.value).startswith(f"{path}: not valid JSON at line ")
    assert str(error.value).endswith(said)


def test_lists_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"images": [1]}')
    assert read_list(path, "images") == [1]
    with pytest.raises(SparseDetError, match="no list of boxes"):
        read_list(path, "boxes")
    with pytest.raises(SparseDetError, match="no list"):
        read_list(path)


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, int("9" * 4000), [0] * 10**6, {str(n): n for n in range(10**5)}, 10**5000],
    ids=["text", "number", "list", "object", "huge"],
)
def test_a_quoted_value_is_short(value: object) -> None:
    assert len(quoted(value)) < 70


def test_yaml_says_where_it_is_wrong() -> None:
    with pytest.raises(SparseDetError, match=r"^ours: not valid YAML at line 2 \(mapping values"):
        parse_yaml("a: 1\nb: c: d", "ours")

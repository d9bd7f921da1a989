"""Atomic writes: the old content or the new, never a mix."""

import errno
import math
import os
from pathlib import Path

import pytest

from sparsedet.atomic_io import (
    atomic_folder,
    atomic_path,
    read_json,
    remove_half_written,
    sync_folder,
    write_json,
    write_text,
)
from sparsedet.errors import SparseDetError


def _make_folder(target: Path, *names: str, crash: bool = False) -> None:
    with atomic_folder(target) as folder:
        for name in names:
            write_text(folder / name, "a")
        if crash:
            raise RuntimeError


def test_json_comes_back(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"name": "ä", "values": [1, 2.5]})
    assert read_json(tmp_path / "new" / "a.json") == {"name": "ä", "values": [1, 2.5]}


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_text(target, "old")
    with pytest.raises(TypeError):
        write_json(target, {"not": object()})
    with pytest.raises(UnicodeEncodeError):
        write_text(target, "new \ud800")
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failing", ["write", "rename"])
def test_an_error_names_the_file_and_not_its_temporary_name(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.json"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing == "write":
        monkeypatch.setattr(os, "fsync", full)
    else:
        target.mkdir()
        (target / "in the way").touch()
    with pytest.raises(OSError, match=r"a\.json") as raised:
        write_text(target, "new")
    assert raised.value.filename == str(target)


def test_an_error_of_something_else_names_no_file(tmp_path: Path) -> None:
    def read() -> None:
        with atomic_path(tmp_path / "a.json"):
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

    with pytest.raises(ConnectionResetError) as raised:
        read()
    assert raised.value.filename is None


@pytest.mark.parametrize("exists", [False, True], ids=["new", "empty"])
def test_folder_appears_when_complete(exists: bool, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    if exists:
        target.mkdir(parents=True)
    with atomic_folder(target) as folder:
        (folder / "sub").mkdir()
        write_text(folder / "sub" / "a.txt", "a")
        assert not (target / "sub").exists()
    assert (target / "sub" / "a.txt").read_text(encoding="utf-8") == "a"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("is_mounted", [False, True])
def test_an_empty_folder_is_filled_and_stays_the_same(
    is_mounted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the current folder of a shell; a mounted one can't be replaced."""
    target = tmp_path / "out"
    target.mkdir(mode=0o700)
    monkeypatch.setattr(Path, "is_mount", lambda path: is_mounted and path == target)
    before = target.stat()
    monkeypatch.chdir(target)
    if is_mounted:
        (target / ".out.1.tmp").mkdir()  # left by a process that was killed
    with atomic_folder(Path()) as folder:
        assert is_mounted == (target in folder.parents)
        (folder / "sub").mkdir()
        write_text(folder / "sub" / "a.txt", "a")
        write_text(folder / "b.txt", "b")
    after = target.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    remove_half_written(target)
    _check_entries(Path(), "b.txt", "sub")
    assert list(tmp_path.iterdir()) == [target]
    # The same content once more is kept, and other content is refused.
    with atomic_folder(Path()) as folder:
        write_text(folder / "sub" / "a.txt", "a")
        write_text(folder / "b.txt", "b")
    with pytest.raises(SparseDetError, match="out: exists already with other content"):
        _make_folder(Path(), "c.txt")
    _check_entries(Path(), "b.txt", "sub")


def _check_entries(folder: Path, *names: str) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [*names]


def test_failure_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        _make_folder(tmp_path / "out", "a.txt", crash=True)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_names_the_file_in_the_folder_that_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(OSError, match="No space left") as caught, atomic_folder(target) as folder:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "sub" / "a.txt"))
    assert caught.value.filename == str(target / "sub" / "a.txt")


def test_a_full_disk_that_names_no_file_names_the_folder(tmp_path: Path) -> None:
    """As `shutil` does when the system copies a file for it."""
    with pytest.raises(OSError, match="No space left") as caught, atomic_folder(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a")


def test_a_read_only_disk_names_the_file_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, even the removal of a missing file fails."""

    def refuse(self: Path, *_arguments: object, **_options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    for method in ("open", "write_text", "unlink"):
        monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(OSError, match="Read-only file system") as raised:
        write_text(tmp_path / "a.json", "new")
    assert raised.value.filename == str(tmp_path / "a.json")


def test_the_same_folder_again_changes_nothing(tmp_path: Path) -> None:
    _make_folder(tmp_path / "out", "a.txt")
    before = (tmp_path / "out").stat().st_ino
    _make_folder(tmp_path / "out", "a.txt")
    assert (tmp_path / "out").stat().st_ino == before
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


@pytest.mark.parametrize("names", [["a.txt", "b.txt"], ["b.txt"]])
def test_other_content_is_never_overwritten(names: list[str], tmp_path: Path) -> None:
    target = tmp_path / "out"
    _make_folder(target, *names)
    with pytest.raises(SparseDetError, match="out: exists already with other content"):
        _make_folder(target, "a.txt")
    assert sorted(path.name for path in target.iterdir()) == names
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "out", "mine")
    with pytest.raises(SparseDetError, match="exists already"):
        _make_folder(tmp_path / "out", "a.txt")
    with pytest.raises(SparseDetError, match="can't be created"):
        _make_folder(tmp_path / "out" / "below", "a.txt")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".model.pth.123.tmp").touch()
    (tmp_path / ".half.123.tmp").mkdir()
    (tmp_path / ".half.123.tmp" / "file").touch()
    (tmp_path / "run" / "model.tmp").touch()
    remove_half_written(tmp_path)
    left = [path.name for path in tmp_path.rglob("*")]
    assert sorted(left) == ["model.tmp", "run"]
    remove_half_written(tmp_path / "nothing here")


def test_a_file_nested_thousands_deep_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(SparseDetError, match=r"deep\.json: nested too deeply"):
        read_json(path)


def test_what_only_python_reads_is_read(tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text(f'{{"nan": NaN, "long": {10**30}}}')
    content = read_json(path)
    assert math.isnan(content["nan"])
    assert content["long"] == 10**30


def test_names_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    names = ["a" * 254, "a" * 253 + "b", "ä" * 127]
    for name in names:
        write_text(tmp_path / name, name)
    assert [(tmp_path / name).read_text() for name in names] == names
    with atomic_folder(tmp_path / ("f" * 255)) as folder:
        write_text(folder / "a", "")
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("exists", [True, False])
def test_the_file_behind_a_link_is_written(exists: bool, tmp_path: Path) -> None:
    shared, folder = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    folder.mkdir()
    link = folder / "a.json"
    link.symlink_to(Path("..", "shared", "b.json"))
    if exists:
        write_text(shared / "b.json", "old")
    write_text(link, "new")
    assert link.is_symlink()
    assert (shared / "b.json").read_text(encoding="utf-8") == "new"
    assert [path.name for path in shared.iterdir()] == ["b.json"]
    with atomic_path(link, through_link=False) as temporary:
        temporary.write_text("copy", encoding="utf-8")
    assert link.read_text(encoding="utf-8") == "copy"
    assert (shared / "b.json").read_text(encoding="utf-8") == "new"


def test_the_folder_behind_a_link_is_not_made(tmp_path: Path) -> None:
    link = tmp_path / "a.json"
    link.symlink_to(tmp_path / "drive" / "b.json")
    with pytest.raises(SparseDetError, match=r"a\.json: a link to .*b\.json.*drive mounted\?"):
        write_text(link, "new")
    assert list(tmp_path.iterdir()) == [link]


def test_file_names_that_are_no_text_are_written(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    write_json(tmp_path / "a.json", {"file": name}, indent=1)
    assert read_json(tmp_path / "a.json") == {"file": name}


def test_devices_and_pipes_are_not_replaced(tmp_path: Path) -> None:
    """Root could replace /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(SparseDetError, match="is not a regular file"):
            write_text(tmp_path / name, "a")
    assert (tmp_path / "pipe").is_fifo()


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is flushed to disk from now on, in order; it is flushed all the same."""
    found: list[Path] = []
    fsync = os.fsync

    def record(number: int) -> None:
        found.append(Path(f"/proc/self/fd/{number}").readlink())
        fsync(number)

    monkeypatch.setattr(os, "fsync", record)
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks Linux what is flushed")
def test_names_are_flushed_after_the_rename(tmp_path: Path, flushed: list[Path]) -> None:
    target = tmp_path / "new" / "deep" / "a.json"
    write_text(target, "a")
    # The folders as they are made, the file under its temporary name, the folder of its new one.
    data = flushed[2]
    assert data.name.startswith(".a.json.")
    assert flushed == [tmp_path, target.parents[1], data, target.parent]
    flushed.clear()
    with atomic_folder(tmp_path / "out") as folder:
        pass
    assert flushed == [folder, tmp_path]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks Linux what is flushed")
def test_what_can_be_fetched_again_need_not_wait(tmp_path: Path, flushed: list[Path]) -> None:
    with atomic_path(tmp_path / "a.png", durable=False) as temporary:
        temporary.write_bytes(b"a")
    assert len(flushed) == 1
    sync_folder(tmp_path / "gone")

"""An intact workspace has no findings, and checking leaves no trace."""

import subprocess
import sys
from pathlib import Path

import pytest

from sparsedet.loop.workspace import Workspace
from tests.checking.damaged import Damaged
from tests.cli.command import sparsedet_here


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time and content of every file."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("options", [(), ("--read-data",)])
def test_a_whole_workspace_is_fine_and_stays_as_it_is(
    damaged: Damaged, options: tuple[str, ...]
) -> None:
    before = snapshot(damaged.folder)
    result = damaged.check(*options)
    assert (result.status, result.err) == (0, "")
    assert result.out == f"{damaged.workspace.root}: nothing is wrong\n"
    assert snapshot(damaged.folder) == before


def test_the_rounds_have_what_is_checked(damaged: Damaged) -> None:
    """Else the test above would show little."""
    assert len(damaged.workspace.all_rounds()) == 2
    outcomes = {outcome for (outcome,) in damaged.rows("SELECT DISTINCT outcome FROM boxes")}
    assert {"accepted", "pending", "sampled"} <= outcomes
    assert damaged.workspace.round(1).lots.exists()
    assert list(damaged.workspace.root.glob("rounds/*/merged/001/*.json"))


def test_repairing_what_is_whole_changes_nothing(damaged: Damaged) -> None:
    before = snapshot(damaged.folder)
    result = damaged.check("--fix")
    assert (result.status, result.err) == (0, "")
    assert snapshot(damaged.folder) == before


def test_nothing_is_opened_for_writing_in_the_workspace(damaged: Damaged) -> None:
    """It may be a disk that is read only; root may write anywhere, so this asks Python."""
    code = (
        "import os, sys\n"
        "from sparsedet.cli.app import main\n"
        "root = sys.argv[1]\n"
        "def refuse(event, args):\n"
        "    writes = event != 'open' or (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)\n"
        "    changes = ('open', 'os.mkdir', 'os.rename', 'os.remove', 'os.utime', 'os.chmod')\n"
        "    if event in changes and writes and os.fspath(args[0]).startswith(root):\n"
        "        raise PermissionError(13, 'read only', str(args[0]))\n"
        "sys.addaudithook(refuse)\n"
        "sys.argv[1:] = ['check', root]\n"
        "main()\n"
    )
    root = damaged.workspace.root
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_before_the_first_round(tmp_path: Path, damaged: Damaged) -> None:
    """What `sparsedet init` leaves is whole, too."""
    settings = damaged.workspace.settings()
    workspace = Workspace(tmp_path / "new")
    workspace.write_settings(settings)
    assert sparsedet_here("check", workspace.root).status == 0


def test_a_folder_that_is_no_workspace_is_an_error(tmp_path: Path) -> None:
    assert "no workspace here" in sparsedet_here("check", tmp_path).error()
    assert "no such folder" in sparsedet_here("check", tmp_path / "absent").error()


def test_a_workspace_in_which_somebody_works(damaged: Damaged) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from sparsedet.loop.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).lock():\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    root = str(damaged.workspace.root)
    with subprocess.Popen(
        [sys.executable, "-c", code, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for options in ((), ("--fix",), ("--json",)):
            result = damaged.check(*options)
            assert (result.status, result.out) == (4, "")
            (line,) = result.err.splitlines()
            assert "another sparsedet process is working" in line
        assert holder.stdin is not None
        holder.stdin.close()
    assert damaged.check().status == 0


def test_several_may_look_at_a_time_and_nobody_changes_anything_meanwhile(
    damaged: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparsedet.loop.workspace._BRIEF_SECONDS", 0.2)
    with damaged.workspace.shared_lock():
        assert damaged.check().status == 0
        assert damaged.check("--fix").status == 4


def test_nothing_is_asked_of_a_server_by_default(damaged: Damaged) -> None:
    """The project is where it was, and not next to the copy."""
    settings = damaged.workspace.settings_file
    url = damaged.workspace.settings().source.url
    settings.write_text(settings.read_text().replace(url, "/nowhere"))
    assert damaged.check().status == 0

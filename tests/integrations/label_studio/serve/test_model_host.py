"""The model in memory: which one is served while its files change."""

import re
import shutil
from pathlib import Path
from unittest.mock import Mock

import pytest

from sparsedet.errors import RunError
from sparsedet.integrations.label_studio.serve import model_host
from sparsedet.integrations.label_studio.serve.model_host import ModelHost
from sparsedet.loop.workspace import Workspace
from tests.integrations.label_studio.serve.eager_run import make_eager_run

CLASSES = [(1, "orange"), (2, "parcel")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_eager_run(tmp_path_factory.mktemp("serve") / "run", CLASSES).root


def test_a_newer_model_takes_over_and_a_broken_one_does_not(tmp_path: Path) -> None:
    run = make_eager_run(tmp_path / "run", CLASSES, "first")
    host = ModelHost(run.root, None, "cpu")
    changes: list[str] = []
    host.load()
    host._on_change = lambda: changes.append(host.current.info.run_id)
    first = host.current
    host.look()
    assert host.current is first
    make_eager_run(tmp_path / "run", CLASSES, "second", seed=2)
    host.look()
    assert changes == ["second"]
    run.model.write_bytes(b"no weights")
    host.look()
    assert host.current.info.run_id == "second"


def test_a_model_that_could_not_be_loaded_is_tried_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing about its files has changed, but the ledger is no longer locked."""
    host = ModelHost(run, None, "cpu")
    with monkeypatch.context() as patched:
        patched.setattr(model_host, "load_live_model", Mock(side_effect=RunError("locked")))
        patched.setattr(model_host, "RETRY_SECONDS", 0.0)
        host.look()
        with pytest.raises(model_host.NoModelError, match="locked"):
            host.check()
    host.look()
    first = host.current
    host.look()
    assert host.current is first


def test_files_that_vanish_meanwhile_are_one_line_each(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the model and the ledger, between their check and their reading."""
    workspace, served = Workspace(tmp_path), tmp_path / "run"
    shutil.copytree(run, served)
    host = ModelHost(served, workspace, "cpu")
    (served / "model.pth").rename(tmp_path / "away")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "is_file", lambda path: True)
        host.look()
        host.look()
    said = [record.getMessage() for record in caplog.records]
    assert [re.findall(r"[^/]+\.(?:pth|sqlite)", line) for line in said] == [
        ["model.pth"],
        ["ledger.sqlite"],
    ]
    with pytest.raises(model_host.NoModelError, match=r"model\.pth"):
        host.check()
    (tmp_path / "away").rename(served / "model.pth")
    host.look()
    host.check()

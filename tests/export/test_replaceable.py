"""What an export overwrites: older exports, and nothing else."""

import zipfile
from pathlib import Path

import pytest

from sparsedet.errors import ExportError, SparseDetError
from sparsedet.export.exporting import CARD, export_run
from sparsedet.run_folder import RunFolder


def export(target: Path) -> None:
    """Export a run that does not exist, which is found out after the check of the target."""
    export_run(RunFolder(target.parent / "run"), target, "torchscript")


@pytest.mark.parametrize("content", [b"", b"notes", b"PK\x03\x04 weights"])
def test_other_files_are_not_overwritten(content: bytes, tmp_path: Path) -> None:
    (target := tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(ExportError, match=r"model\.pt: already exists and is not a model exported"):
        export(target)
    assert target.read_bytes() == content


@pytest.mark.parametrize("content", ["", "my notes on the model"])
def test_other_files_of_the_cards_name_are_not_overwritten(content: str, tmp_path: Path) -> None:
    (card := tmp_path / "model.card.md").write_text(content)
    with pytest.raises(ExportError, match=r"model\.card\.md: already exists and is not a model"):
        export(tmp_path / "model.pt")
    assert card.read_text() == content


def test_folders_are_refused(tmp_path: Path) -> None:
    (target := tmp_path / "models").mkdir()
    with pytest.raises(ExportError, match="models: is a folder; pass a file with -o"):
        export(target)


def test_older_exports_are_replaced(tmp_path: Path) -> None:
    target = tmp_path / "model.pt"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(f"model/extra/{CARD}", "{}")
    (tmp_path / "model.card.md").write_text("# Model card: model\n")
    with pytest.raises(SparseDetError, match="run") as error:
        export(target)
    assert "already exists" not in str(error.value)

"""The doctor's look at the Label Studio server, wherever its executable is."""

from pathlib import Path

import pytest

from sparsedet.doctor.checks import State, check_label_studio


def test_a_variable_that_names_no_file_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Installing the server once more would not help: the variable comes first."""
    monkeypatch.setenv("SPARSEDET_LABEL_STUDIO", str(tmp_path / "gone"))
    check = check_label_studio(None)
    assert check.state is State.WARNING
    assert f"{tmp_path / 'gone'}, where there is no file" in check.found
    assert check.fix
    assert "unset" in check.fix


def test_an_executable_may_be_at_the_root(tmp_path: Path) -> None:
    """As in some containers."""
    check = check_label_studio(Path("/label-studio"))
    assert (check.state, check.found) == (State.OK, "unknown version (/label-studio)")

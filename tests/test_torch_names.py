"""What the oldest torch of `pyproject.toml` lacks is not used: nothing else would show that."""

from pathlib import Path

import pytest
import torch

import sparsedet

_LATER = ("torch.OutOfMemoryError", "torch.accelerator.")
"""Names of torch 2.5 and later."""


@pytest.mark.parametrize("name", _LATER)
def test_names_of_later_versions_are_not_used(name: str) -> None:
    sources = list(Path(sparsedet.__path__[0]).rglob("*.py"))
    assert sources
    assert [path for path in sources if name in path.read_text(encoding="utf-8")] == []


def test_the_older_name_means_the_same() -> None:
    assert torch.cuda.OutOfMemoryError is torch.OutOfMemoryError

"""Round trip of `suspicions.json`."""

from pathlib import Path

import pytest

from sparsedet.annotations import Category, Dataset
from sparsedet.annotations.suspicions import Suspicion, read_suspicions, write_suspicions
from sparsedet.errors import AnnotationError

FOUND = (
    Suspicion(1, "a", "class", 0.95, category_id=2),
    Suspicion(1, "b", "place", 0.9, xyxy=(10.0, 20.0, 30.0, 50.0)),
    Suspicion(2, "a", "double", 0.7, twin="c"),
    Suspicion(2, "d", "sliver", 0.5),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_suspicions(FOUND, tmp_path / "suspicions.json")
    assert read_suspicions(tmp_path / "suspicions.json") == FOUND


def test_reviewers_are_asked(tmp_path: Path) -> None:
    dataset = Dataset((), (), (Category(2, "queen"),))
    asked = [one.in_words(dataset) for one in FOUND]
    assert asked == ["queen?", "badly placed?", "drawn twice?", "a sliver?"]


@pytest.mark.parametrize("text", ['[{"image_id": 1}]', '[{"kind": "colour"}]', "{}", "[3]"])
def test_a_broken_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "suspicions.json"
    path.write_text(text)
    with pytest.raises(
        AnnotationError, match=r"suspicions\.json: (entry 0: invalid|not a list of)"
    ):
        read_suspicions(path)

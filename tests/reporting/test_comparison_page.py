"""The comparison page: complete, escaped, and self-contained."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import Category
from sparsedet.comparison import Comparison, compare
from sparsedet.reporting.comparison_page import BAR_WIDTH, write_page
from sparsedet.sparsify import load_recipe
from tests.comparison.data import boxes_of, coco_like, sparse
from tests.reporting.page import Page

EVIL = "<script>alert('cat')</script> & \"co\""


@pytest.fixture
def found() -> Comparison:
    full = coco_like(150)
    names = (Category(full.categories[0].id, EVIL), *full.categories[1:])
    full = replace(full, categories=names)
    recipes = [load_recipe(name) for name in ("random", "extreme")]
    return compare(boxes_of(full), boxes_of(sparse(full, "skip-small")), recipes)


def _page(found: Comparison, folder: Path) -> str:
    write_page(found, folder / "page.html", title=f"sparse {EVIL}")
    return (folder / "page.html").read_text(encoding="utf-8")


def test_names_are_data_and_nothing_is_loaded(found: Comparison, tmp_path: Path) -> None:
    text = _page(found, tmp_path)
    assert not Page(tmp_path / "page.html").tags & {"script", "img", "link", "iframe"}
    assert "&lt;script&gt;alert(" in text
    assert not re.search(r"(src|href)=", text)


def test_every_row_has_its_counts_and_a_bar(found: Comparison, tmp_path: Path) -> None:
    text = _page(found, tmp_path)
    total = sum(len(section.rows) for section in found.sections)
    assert text.count("<rect ") == total
    for section in found.sections:
        assert f'<table id="{section.name}">' in text
    row = found.sections[1].rows[-1]
    cells = f"<td>{row.boxes:,}</td><td>{row.removed:,}</td><td>{100 * row.share:.1f} %</td>"
    assert f'<th scope="row">{row.label}</th>{cells}' in text
    assert f'width="{round(row.share * BAR_WIDTH, 1)}"' in text


def test_explanations_and_conclusion_are_shown(found: Comparison, tmp_path: Path) -> None:
    text = _page(found, tmp_path)
    assert found.conclusion in text
    assert text.count("ruled out</td>") == 2
    assert "&lt; 0.0001" in text
    assert "<td>0</td>" in text


def test_the_same_comparison_gives_the_same_bytes(found: Comparison, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    assert _page(found, tmp_path) == _page(found, tmp_path / "again")

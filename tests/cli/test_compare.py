"""`sparsedet compare`: tables and verdicts on stdout, a page, JSON, and one-line errors."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import read_coco, write_coco
from sparsedet.sparsify import recipe_names
from tests.cli.command import sparsedet, sparsedet_here
from tests.comparison.data import coco_like, small, sparse
from tests.integrations.files.formats.datasets import write_images


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A full file and what `skip-small` leaves of it."""
    full = coco_like(300)
    write_coco(full, tmp_path / "full.json")
    write_coco(sparse(full, "skip-small"), tmp_path / "sparse.json")
    return tmp_path / "full.json", tmp_path / "sparse.json"


def test_tables_verdicts_and_conclusion_are_printed(files: tuple[Path, Path]) -> None:
    result = sparsedet("compare", *files)
    assert result.status == 0, result.err
    assert result.err == ""
    lines = result.out.splitlines()
    assert " boxes removed (50.0 %) on " in lines[0]
    for title in (
        "by class",
        "by boxes per image",
        "by size",
        "by position",
        "by number of neighb",
    ):
        assert any(line.startswith(f"removed {title}") for line in lines), title
    start = lines.index("recipes")
    judged = {line.split()[0]: line for line in lines[start + 2 : start + 2 + len(recipe_names())]}
    assert set(judged) == set(recipe_names())
    assert " fits " in judged["skip-small"]
    assert " ruled out " in judged["random"]
    reasons = [line.partition(": ")[0].strip().split(", ") for line in lines[start:]]
    assert any("random" in names for names in reasons)
    assert lines[-1].startswith("Of these recipes only skip-small fits.")


def test_json_holds_everything_and_the_page_is_written(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    page = tmp_path / "out" / "page.html"
    result = sparsedet_here(
        "compare", *files, "--recipe", "random", "--recipe", "skip-small", "-o", page, "--json"
    )
    assert result.status == 0, result.err
    found = result.json()
    full, left = (read_coco(file) for file in files)
    assert found["total"]["removed"] == len(full.boxes) - len(left.boxes)
    classes = next(section for section in found["sections"] if section["name"] == "class")
    counts = {row["label"]: row["boxes"] for row in classes["rows"]}
    assert counts == {name: count for name, count in full.counts().items() if count}
    assert [verdict["recipe"] for verdict in found["verdicts"]] == ["skip-small", "random"]
    assert found["verdicts"][0]["judgement"] == "fits"
    assert found["page"] == str(page.resolve())
    assert found["conclusion"] in page.read_text(encoding="utf-8")


def test_own_recipes_are_tested(files: tuple[Path, Path], tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "{description: x, source: y, rule: drop-fraction, parameters: {drop: 0.5, order: small}}",
        encoding="utf-8",
    )
    result = sparsedet_here("compare", *files, "--recipe", recipe, "--json")
    assert result.json()["verdicts"][0]["recipe"] == "mine"
    assert result.json()["verdicts"][0]["judgement"] == "fits"


def test_swapped_files_are_refused(files: tuple[Path, Path]) -> None:
    assert "are the two swapped?" in sparsedet_here("compare", *reversed(files)).error()


def test_files_of_other_images_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    write_coco(small(), tmp_path / "other.json")
    error = sparsedet_here("compare", files[0], tmp_path / "other.json").error()
    assert error.startswith("the two files have no image in common")


def test_wrong_options_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert "no recipe named 'none'" in sparsedet_here("compare", *files, "--recipe", "none").error()
    error = sparsedet_here("compare", *files, "--absent-images", "no").error()
    assert error == "--absent-images no: expected auto, removed or left-out"
    assert "is a folder" in sparsedet_here("compare", *files, "-o", tmp_path).error()
    assert "no such file" in sparsedet_here("compare", tmp_path / "x.json", files[1]).error()


def test_nothing_but_an_older_page_is_replaced(files: tuple[Path, Path], tmp_path: Path) -> None:
    full, left = files
    before = full.read_bytes(), left.read_bytes()
    (tmp_path / "link.html").symlink_to(left)
    other = tmp_path / "notes.html"
    other.write_text("<!doctype html><p>mine</p>", encoding="utf-8")
    for output in (full, left, tmp_path / "link.html", tmp_path / "x" / ".." / full.name):
        (tmp_path / "x").mkdir(exist_ok=True)
        error = sparsedet_here("compare", full, left, "-o", output).error()
        assert error == f"{output}: is one of the compared files; choose another one with -o"
    assert (
        "is not a page of sparsedet compare"
        in sparsedet_here("compare", *files, "-o", other).error()
    )
    assert other.read_text(encoding="utf-8") == "<!doctype html><p>mine</p>"
    assert (full.read_bytes(), left.read_bytes()) == before
    page = tmp_path / "page.html"
    for _ in range(2):
        assert sparsedet_here("compare", *files, "--recipe", "easy", "-o", page).status == 0


def test_folders_of_any_format_are_compared(files: tuple[Path, Path], tmp_path: Path) -> None:
    full = small(boxes=3, images=3)
    write_images(full, tmp_path / "images")
    write_coco(full, tmp_path / "all.json")
    voc = tmp_path / "voc"
    result = sparsedet_here("convert", tmp_path / "all.json", voc, "--to", "voc")
    assert result.status == 0, result.err
    workspace = tmp_path / "workspace"
    kept = full.with_boxes(box for box in full.boxes if box.id % 10)
    write_coco(kept, workspace / "annotations.json")
    write_images(full, workspace / "images")
    (workspace / "sparsedet.toml").write_text("", encoding="utf-8")
    for one, other in ((voc, workspace), (tmp_path / "all.json", workspace)):
        found = sparsedet_here("compare", one, other, "--recipe", "random", "--json")
        assert found.status == 0, found.err
        total = found.json()["total"]
        assert (total["boxes"], total["removed"]) == (9, 3)


def test_images_are_known_by_the_last_part_of_their_names(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    left = read_coco(files[1])
    renamed = replace(
        left, images=tuple(replace(one, file_name=f"images/{one.file_name}") for one in left.images)
    )
    write_coco(renamed, tmp_path / "renamed.json")
    one, other = (
        sparsedet_here("compare", files[0], file, "--recipe", "easy", "--json").json()["sections"]
        for file in (files[1], tmp_path / "renamed.json")
    )
    assert one == other


def test_validation_images_beside_the_file_are_left_out(tmp_path: Path) -> None:
    full = coco_like(300)
    write_coco(full, tmp_path / "full.json")
    made = sparsedet_here(
        *("split", tmp_path / "full.json", "--recipe", "per-class"),
        *("--val", "0.2", "-o", tmp_path / "split"),
    )
    assert made.status == 0, made.err
    paths = tmp_path / "full.json", tmp_path / "split" / "train.json"
    found = sparsedet_here("compare", *paths, "--recipe", "per-class", "--json").json()
    assert "they are validation images, and left out" in found["notes"][0]
    assert found["verdicts"][0]["judgement"] == "fits"
    assert found["verdicts"][0]["parameters"]["drop"] == pytest.approx(0.5, abs=0.01)
    options = ("--recipe", "per-class", "--absent-images", "removed", "--json")
    found = sparsedet_here("compare", *paths, *options).json()
    assert found["verdicts"][0]["judgement"] == "ruled out"


def test_absent_images_can_be_left_out(tmp_path: Path) -> None:
    full = small(boxes=3, images=3)
    write_coco(full, tmp_path / "full.json")
    write_coco(full.with_images(full.images[:2]), tmp_path / "sparse.json")
    paths = tmp_path / "full.json", tmp_path / "sparse.json"
    assert sparsedet_here("compare", *paths, "--json").json()["total"]["removed"] == 3
    found = sparsedet_here("compare", *paths, "--absent-images", "left-out", "--json").json()
    assert found["total"]["removed"] == 0


def test_a_file_that_lacks_nothing_says_so_once(files: tuple[Path, Path]) -> None:
    result = sparsedet_here("compare", files[0], files[0])
    assert result.out.splitlines()[-1] == "can't tell which recipe: no box was removed"

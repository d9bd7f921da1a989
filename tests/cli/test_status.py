"""`sparsedet status`: figures of a workspace's rounds."""

import csv
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.loop.last_reading import write_reading
from sparsedet.loop.settings import Settings, Source
from sparsedet.loop.workspace import Workspace
from sparsedet.reviews import AnnotationRule
from tests.cli.command import sparsedet, sparsedet_here
from tests.ledger.builders import MINED, SPOT, dataset, kept, new_push, read, review


def _round(root: Path, number: int, annotations: int, ap50: float | None = None) -> None:
    folder = root / "rounds" / f"{number:03d}"
    folder.mkdir(parents=True)
    content: dict[str, object] = {"images": [], "annotations": [{}] * annotations, "categories": []}
    (folder / "annotations.json").write_text(json.dumps(content))
    if ap50 is not None:
        (folder / "evaluation.json").write_text(json.dumps({"AP": 20.5, "AP50": ap50}))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two rounds in folders, the second not pushed yet, and boxes that were pushed by hand."""
    workspace = Workspace(tmp_path / "cells")
    _round(workspace.root, 1, 40, ap50=61.27)
    _round(workspace.root, 2, 42)
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_push(new_push(round=1), MINED, dataset())
        by_hand = [MinedBox("c1", 1, 1, SPOT, 0.9, 0.5)]
        ledger.record_push(new_push("run-x"), by_hand, dataset())
        reviews = [
            review(kept("a1"), shown="a1 a2", seconds=3600.0),
            review(kept("b1", "dog"), shown="b1", tool_id="12", seconds=125.4),
        ]
        ledger.record_reviews(new_push().place, read(*reviews))
    return workspace


def test_rounds_and_classes_are_tables(workspace: Workspace) -> None:
    result = sparsedet("status", workspace.root)
    assert result.status == 0, result.err
    title, *rows = [line.split() for line in result.out.splitlines()]
    assert title[0] == "Rounds"
    outcomes = "mined accepted edited rejected pending withdrawn precision % drawn"
    reviewing = "images review time judged accepted % edited % rejected % agreement % compared"
    assert rows == [
        f"round annotations {outcomes} review time complete % AP50".split(),
        ["1", "40", "3", "1", "1", "1", "0", "0", "66.7", "0", "1:02:05", "-", "61.3"],
        ["2", "42", "0", "0", "0", "0", "0", "0", "-", "0", "0:00:00", "-", "-"],
        ["-", "-", "1", "0", "0", "0", "1", "0", "-", "0", "0:00:00", "-", "-"],
        ["all", "4", "1", "1", "1", "1", "0", "66.7", "0", "1:02:05"],
        ["Boxes", "by", "class"],
        f"class {outcomes}".split(),
        ["cat", "3", "1", "1", "0", "1", "0", "100.0", "0"],
        ["dog", "1", "0", "0", "1", "0", "0", "0.0", "0"],
        ["Reviewers"],
        f"reviewer {reviewing}".split(),
        ["ann@example.com", "2", "1:02:05", "3", "33.3", "33.3", "33.3", "-", "0"],
    ]
    assert "skipped" not in result.err


def test_the_estimate_has_an_interval_by_class(workspace: Workspace) -> None:
    # The second class is from a round of an older version.
    by_class = {
        "cat": {"boxes": 40, "missing": 11.6, "missing_low": 6.0, "missing_high": 19.0},
        "dog": {"boxes": 2, "missing": 3.2},
    }
    content = {"text": "42 of 57", "share": 0.74, "low": 0.6, "high": 0.8, "by_class": by_class}
    (workspace.root / "rounds" / "002" / "estimate.json").write_text(json.dumps(content))
    rows = [line.split() for line in sparsedet("status", workspace.root).out.splitlines()]
    assert ["class", "with", "a", "box", "without", "90%", "interval"] in rows
    assert ["cat", "40", "12", "6", "to", "19"] in rows
    assert ["dog", "2", "3", "-"] in rows


def test_reviewers_are_compared(workspace: Workspace) -> None:
    with closing(Ledger(workspace.ledger)) as ledger:
        twice = read(
            review(kept("a1"), kept("a2", "dog"), offer="t1"),
            review(kept("a1"), offer="t1", day=2, reviewer="bob@example.com", seconds=None),
            review(tool_id="12", shown="b1", reviewer=None),
        )
        ledger.record_reviews(new_push().place, twice)
    result = sparsedet_here("status", workspace.root)
    rows = [line.split() for line in result.out.splitlines()]
    assert rows[-2:] == [
        ["ann@example.com", "1", "0:00:04", "2", "100.0", "0.0", "0.0", "50.0", "2"],
        ["bob@example.com", "1", "0:00:00", "2", "50.0", "0.0", "50.0", "50.0", "2"],
    ]
    reviewers = sparsedet_here("status", workspace.root, "--json").json()["reviewers"]
    assert reviewers[1] == {
        **{"name": "bob@example.com", "images": 1, "seconds": 0.0},
        **{"accepted": 1, "edited": 0, "rejected": 1, "agreement": 0.5, "compared": 2},
    }


def test_drawn_boxes_and_images_without_mined_ones_are_counted(workspace: Workspace) -> None:
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_push(new_push("run-2", round=2), [], dataset(), queue=[QueueEntry(2)])
        own = kept("own", "bird", (60.0, 60.0, 90.0, 90.0))
        drawn = review(own, shown="", tool_id="12", day=2, seconds=8.0)
        ledger.record_reviews(new_push().place, read(review(kept("a1")), drawn))
    result = sparsedet_here("status", workspace.root)
    assert result.status == 0, result.err
    rows = [line.split() for line in result.out.splitlines()]
    assert ["2", "42", "0", "0", "0", "0", "0", "0", "-", "1", "0:00:08", "-", "-"] in rows
    assert ["all", "4", "1", "0", "1", "2", "0", "50.0", "1", "0:00:12"] in rows
    assert ["bird", "0", "0", "0", "0", "0", "0", "-", "1"] in rows
    found = sparsedet_here("status", workspace.root, "--json").json()
    second = found["rounds"][1]
    assert (second["mined"], second["drawn"], second["precision"]) == (0, 1, None)
    assert (second["reviewed_images"], second["seconds"]) == (1, 8.0)
    assert second["by_category"]["bird"]["drawn"] == found["all"]["drawn"] == 1


@pytest.mark.parametrize(("rule", "drawn"), [("union", 2), ("newest", 1)])
def test_of_reviews_made_side_by_side_the_settings_say_what_counts(
    rule: AnnotationRule, drawn: int, workspace: Workspace
) -> None:
    source = Source(tool="label-studio", url="http://x", project="7", annotations=rule)
    workspace.write_settings(Settings(source=source))
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_reviews(
            new_push().place,
            read(
                review(kept("one"), shown="", offer="t1"),
                review(kept("other", "dog"), shown="", offer="t1", day=2, reviewer="bob"),
            ),
        )
    found = sparsedet_here("status", workspace.root, "--json").json()
    assert found["all"]["drawn"] == found["rounds"][0]["drawn"] == drawn


def test_skipped_images_and_withdrawn_boxes_are_said(workspace: Workspace) -> None:
    with closing(Ledger(workspace.ledger)) as ledger:
        skips = [
            review(skipped=True, shown="", reviewer=None),
            review(tool_id="12", skipped=True, shown="", reviewer=None),
        ]
        ledger.record_reviews(new_push().place, read(*skips))
        ledger.withdraw({"c1"})
    result = sparsedet_here("status", workspace.root)
    assert result.status == 0, result.err
    assert "2 images were skipped in review: mined boxes stay pending" in result.err
    assert "delete the skipped annotation" in result.err
    assert "Reviewers" not in result.out
    found = sparsedet_here("status", workspace.root, "--json").json()
    assert (found["skipped_images"], found["reviewers"]) == (2, [])
    assert (found["all"]["pending"], found["all"]["withdrawn"]) == (3, 1)
    assert found["all"]["by_category"]["cat"]["withdrawn"] == 1


def test_json_is_for_machines(workspace: Workspace) -> None:
    found = sparsedet_here("status", workspace.root, "--json").json()
    first, second, by_hand = found["rounds"]
    assert first == {
        "round": 1,
        "annotations": 40,
        **{"mined": 3, "accepted": 1, "edited": 1, "rejected": 1, "pending": 0, "withdrawn": 0},
        "sampled": 0,
        "precision": pytest.approx(2 / 3),
        "drawn": 0,
        "by_category": {
            "cat": {"mined": 2, "accepted": 1, "edited": 1, "rejected": 0, "pending": 0}
            | {"withdrawn": 0, "sampled": 0, "precision": 1.0, "drawn": 0},
            "dog": {"mined": 1, "accepted": 0, "edited": 0, "rejected": 1, "pending": 0}
            | {"withdrawn": 0, "sampled": 0, "precision": 0.0, "drawn": 0},
        },
        "reviewed_images": 2,
        "seconds": 3725.4,
        "AP50": 61.27,
        "complete": None,
        "next_step": "split",
    }
    assert (second["round"], second["precision"], second["AP50"]) == (2, None, None)
    assert (by_hand["round"], by_hand["annotations"], by_hand["mined"]) == (None, None, 1)
    assert (found["all"]["mined"], found["all"]["seconds"]) == (4, 3725.4)
    assert found["all"]["by_category"]["cat"]["pending"] == 1


def test_csv_has_a_row_for_every_mined_box(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "out" / "boxes.csv"
    result = sparsedet_here("status", "--csv", path, cwd=workspace.root)
    assert result.status == 0, result.err
    assert f"4 mined boxes written to {path}" in result.err
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["region_id"], row["round"], row["outcome"]) for row in rows] == [
        ("a1", "1", "accepted"),
        ("a2", "1", "rejected"),
        ("b1", "1", "edited"),
        ("c1", "", "pending"),
    ]


def test_before_the_first_push_there_are_rounds_and_no_ledger(tmp_path: Path) -> None:
    _round(tmp_path, 1, 7)
    (tmp_path / "rounds" / "002").mkdir()
    result = sparsedet_here("status", tmp_path)
    assert result.status == 0, result.err
    rows = [line.split() for line in result.out.splitlines()[2:]]
    assert [row[:3] for row in rows] == [["1", "7", "0"], ["2", "-", "0"], ["all", "0", "0"]]
    assert not Workspace(tmp_path).ledger.exists()
    refused = sparsedet_here("status", tmp_path, "--csv", tmp_path / "boxes.csv")
    assert "no ledger here" in refused.error()


def _pushed(tmp_path: Path) -> Workspace:
    """A workspace without a ledger whose only round was pushed."""
    workspace = Workspace(tmp_path)
    _round(tmp_path, 1, 7)
    workspace.round(1).push.write_text('{"model_version": "run-1", "review_project": "8"}')
    return workspace


@pytest.mark.parametrize("is_there", [False, True])
def test_a_lost_ledger_is_said(is_there: bool, tmp_path: Path) -> None:
    workspace = _pushed(tmp_path)
    if is_there:
        Ledger(workspace.ledger).close()
    result = sparsedet_here("status", tmp_path)
    assert result.status == 0, result.err
    assert f"{workspace.ledger} is missing or empty although rounds were pushed" in result.err
    assert f"sparsedet review {tmp_path} rebuilds it" in result.err
    as_json = sparsedet_here("status", tmp_path, "--json")
    assert as_json.json()["ledger_is_lost"] is True
    assert "rebuilds it" in as_json.err
    assert workspace.ledger.exists() == is_there
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_push(new_push(round=1), MINED, dataset())
    found = sparsedet_here("status", tmp_path, "--json")
    assert found.json()["ledger_is_lost"] is False
    assert "missing" not in found.err


@pytest.mark.parametrize("is_folder", [False, True])
def test_something_else_in_the_ledgers_place_is_no_empty_ledger(
    is_folder: bool, tmp_path: Path
) -> None:
    workspace = _pushed(tmp_path)
    if is_folder:
        workspace.ledger.mkdir()
    else:
        workspace.ledger.write_bytes(b"x" * 5000)
    refused = sparsedet_here("status", tmp_path).error()
    assert f"{workspace.ledger}: " in refused
    assert "move it away" in refused


def test_other_folders_and_broken_files_are_one_line(tmp_path: Path) -> None:
    assert "neither rounds nor a ledger:" in sparsedet_here("status", tmp_path).error()
    _round(tmp_path, 1, 7)
    evaluation = tmp_path / "rounds" / "001" / "evaluation.json"
    evaluation.write_text('{"AP50": "good"}')
    assert sparsedet_here("status", tmp_path).error() == (
        f"{evaluation}: AP50 is 'good', expected a number"
    )
    (tmp_path / "rounds" / "001" / "annotations.json").write_text("[]")
    assert (
        "annotations.json: not a list of annotations" in sparsedet_here("status", tmp_path).error()
    )


def _read_at(workspace: Workspace, ago: timedelta) -> None:
    write_reading(workspace.ledger, [], datetime.now(UTC) - ago)


def test_the_age_of_the_outcomes_is_said(workspace: Workspace) -> None:
    unknown = sparsedet_here("status", workspace.root)
    assert unknown.err.splitlines()[-1] == (
        f"it is not known when reviews were last read; to update: sparsedet review {workspace.root}"
    )
    _read_at(workspace, timedelta(minutes=5, seconds=3))
    result = sparsedet_here("status", workspace.root)
    line = result.err.splitlines()[-1]
    assert line.startswith("reviews as of ")
    assert line.endswith(f", 5 minutes ago; to update: sparsedet review {workspace.root}")
    found = sparsedet_here("status", workspace.root, "--json").json()
    age = datetime.now(UTC) - datetime.fromisoformat(found["reviews_read_at"])
    assert timedelta(minutes=5) < age < timedelta(minutes=8)
    assert found["newer_reviews"] is None


def test_nothing_pushed_has_no_age(tmp_path: Path) -> None:
    _round(tmp_path, 1, 7)
    result = sparsedet_here("status", tmp_path, "--check")
    assert result.status == 0, result.err
    assert "reviews" not in result.err


def test_without_a_server_a_check_is_one_line(workspace: Workspace) -> None:
    _read_at(workspace, timedelta(0))
    with closing(Ledger(workspace.ledger)) as ledger:
        # Nothing listens there.
        ledger.relocate("label-studio", "7", "http://127.0.0.1:9")
    env = {"LABEL_STUDIO_API_KEY": "abc123secret", "LABEL_STUDIO_URL": "http://127.0.0.1:9"}
    result = sparsedet_here("status", workspace.root, "--check", env=env)
    assert result.status == 0, result.err
    assert "Rounds in" in result.out
    (refused,) = [line for line in result.err.splitlines() if "checked" in line]
    assert refused.startswith(
        "not checked for newer reviews: Label Studio is not reachable at http://127.0.0.1:9"
    )
    assert "just now; to update: sparsedet review" in result.err.splitlines()[-1]
    assert "secret" not in result.err
    as_json = sparsedet_here("status", workspace.root, "--check", "--json", env=env)
    assert as_json.json()["newer_reviews"] is None


def test_complete_images_and_classes_are_counted(workspace: Workspace) -> None:
    """As the newest round knows them."""
    assert "complete," not in sparsedet_here("status", workspace.root).out
    marks: list[dict[str, object]] = [
        {"exhaustive": True},
        {"complete_classes": [1, 2]},
        {"complete_classes": [2]},
        {},
    ]
    images = [
        {"id": number, "file_name": f"{number}.png", "width": 9, "height": 9, **mark}
        for number, mark in enumerate(marks)
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": [], "categories": categories}
    path = workspace.root / "rounds" / "002" / "annotations.json"
    path.write_text(json.dumps(content))
    result = sparsedet_here("status", workspace.root)
    assert "2 images complete, 1 in part (1 pair of class and image)" in result.out.splitlines()
    found = sparsedet_here("status", workspace.root, "--json").json()["marks"]
    assert found == {"complete": 2, "in_part": 1, "pairs": 1}

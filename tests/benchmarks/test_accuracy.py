"""The table of accuracies: which cells there are and count, and what the figures say."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from benchmarks.accuracy.cell import Cell
from benchmarks.accuracy.command import main
from benchmarks.accuracy.data import FullData, digit_scenes, inner, read_folder
from benchmarks.accuracy.fingerprint import (
    Fingerprint,
    code_hash,
    configuration,
    configuration_hash,
    fingerprint,
)
from benchmarks.accuracy.ignoring import evaluate_ignoring
from benchmarks.accuracy.mined_quality import MinedQuality, quality
from benchmarks.accuracy.plan import ABLATIONS, PLANS, Ablation, Plan, cells
from benchmarks.accuracy.record import Figures, Record, read_records, write_record
from benchmarks.accuracy.report import write_report
from benchmarks.accuracy.spread import Spread
from benchmarks.accuracy.staleness import stale
from benchmarks.accuracy.training import train_cell
from sparsedet.annotations import XYXY, Box, Category, Dataset, Image, write_coco
from sparsedet.errors import SparseDetError
from sparsedet.mining.detect import Detections
from sparsedet.training.evaluation import evaluate
from sparsedet.training.metrics import read_metrics
from sparsedet.training.stage import StageProgress

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "accuracy.py"
PLAN = Plan(drops=(0.0, 0.5), seeds=(1, 2, 3), extreme_seeds=1, ablation_drop=0.5)


def cell(method: str = "plain", seed: int = 1, drop: float | None = 0.5, **more: object) -> Cell:
    known = {"data": "cells", "recipe": "random", "iterations": 8, "config": "lite0_fpn"}
    return Cell.model_validate(known | {"method": method, "seed": seed, "drop": drop} | more)


def variant(name: str, seed: int) -> Cell:
    overrides = next(ablation.overrides for ablation in ABLATIONS if ablation.name == name)
    return cell("staged", seed, variant=name, overrides=overrides)


def record(of: Cell, ap: float, *, ignoring: float | None = None, **more: object) -> Record:
    """A record as of now, but for the data."""

    def figures(value: float) -> Figures:
        per_class = {"red": value, "white": value}
        return Figures(
            AP=value, AP50=value + 30, AP75=value, per_class=per_class, images=9, annotations=40
        )

    known = {
        "cell": of,
        "fingerprint": Fingerprint(
            configuration=configuration_hash(of, classes=2),
            training_data=f"{of.drop} of seed {of.seed}",
            test_data="test",
            code="code",
        ),
        "training_boxes": 30,
        "removed_boxes": 70,
        "figures": figures(ap),
        "unlabelled_ignored": None if ignoring is None else figures(ignoring),
        "mined": {},
        "seconds": 200.0,
        "cpu_seconds": 100.0,
        "versions": {},
        "date": "2026-01-01T00:00:00+00:00",
    }
    return Record.model_validate(known | more)


def edited(one: Record, **hashes: str) -> Record:
    return one.model_copy(update={"fingerprint": one.fingerprint.model_copy(update=hashes)})


# Which cells there are.


def test_the_most_telling_cells_come_first() -> None:
    planned = cells("cells", PLAN, iterations=8, config="lite0_fpn")
    told = [(one.recipe, one.drop, one.method, one.variant != "", one.seed) for one in planned]
    assert told[:6] == [
        ("random", 0.0, "plain", False, 1),
        ("random", 0.0, "staged", False, 1),
        ("random", 0.5, "plain", False, 1),
        ("random", 0.5, "staged", False, 1),
        ("random", 0.0, "end-to-end", False, 1),
        ("random", 0.5, "end-to-end", False, 1),
    ]
    assert [seed for *_, seed in told[6:14]] == [2] * 4 + [3] * 4
    assert told[14:16] == [
        ("extreme", None, "plain", False, 1),
        ("extreme", None, "staged", False, 1),
    ]
    ablations = told[16:]
    assert ablations == [
        ("random", 0.5, "staged", True, seed) for seed in (1, 2) for _ in ABLATIONS
    ]
    assert len({one.key for one in planned}) == len(planned)


@pytest.mark.parametrize("name", PLANS)
def test_every_planned_cell_has_its_counterparts(name: str) -> None:
    planned = cells(name, PLANS[name], iterations=8, config="lite0_fpn")
    assert {configuration(one).SOLVER.MAX_ITER for one in planned} == {8}
    staged = [one for one in planned if one.method == "staged"]
    for one in staged:
        as_it_is = one.model_copy(update={"variant": "", "overrides": ()})
        assert as_it_is in planned
        assert as_it_is.model_copy(update={"method": "plain"}) in planned


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.name)
def test_every_ablation_changes_the_configuration(ablation: Ablation) -> None:
    changed, as_it_is = variant(ablation.name, 1), cell("staged")
    assert configuration_hash(changed, classes=3) != configuration_hash(as_it_is, classes=3)


# What makes a cell stale.


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> FullData:
    return digit_scenes(tmp_path_factory.mktemp("scenes"), train=5, test=3)


@pytest.fixture(scope="module")
def folder(digits: FullData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those scenes as a folder of complete annotations, one object of the test images amiss."""
    root = tmp_path_factory.mktemp("data") / "scenes"
    root.mkdir()
    (root / "images").symlink_to(digits.train_images)
    write_coco(digits.train, root / "train.json")
    write_coco(digits.train.with_images(digits.train.images[:2]), root / "test.json")
    unlabelled = [{"image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "score": 0.9}]
    (root / "unlabelled_test.json").write_text(json.dumps(unlabelled))
    return root


def test_the_code_that_decides_about_figures_is_hashed(tmp_path: Path) -> None:
    for name in ("modeling", "training", "mining", "ledger"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.py").write_text(f"name = {name!r}\n")
    first = code_hash(tmp_path)
    (tmp_path / "ledger" / "one.py").write_text("name = 'edited'\n")
    (tmp_path / "mining" / "one.py").write_text('"""Text."""\n\n# A comment.\nname = "mining"\n')
    (tmp_path / "mining" / "notes.txt").write_text("no code\n")
    assert code_hash(tmp_path) == first
    for name in ("modeling", "training", "mining"):
        before = code_hash(tmp_path)
        (tmp_path / name / "one.py").write_text("name = 'edited'\n")
        assert code_hash(tmp_path) != before
    before = code_hash(tmp_path)
    (tmp_path / "mining" / "one.py").rename(tmp_path / "mining" / "two.py")
    assert code_hash(tmp_path) != before
    assert code_hash() == code_hash()


def test_cells_of_one_seed_train_on_the_same_boxes(digits: FullData) -> None:
    plain = fingerprint(cell("plain"), digits, "code")
    assert plain.differences(fingerprint(cell("staged"), digits, "code")) == ["configuration"]
    assert plain.differences(fingerprint(cell(seed=2), digits, "code")) == [
        "configuration",
        "training data",
    ]
    assert plain.differences(fingerprint(cell(drop=0.7), digits, "code")) == ["training data"]
    missed = replace(digits, unlabelled_test=[Box(1, 1, 1, (0, 0, 9, 9))])
    assert plain.differences(fingerprint(cell(), missed, "code")) == ["test data"]


@pytest.mark.parametrize(
    ("hashes", "reason"),
    [
        ({"code": "other"}, "code"),
        ({"configuration": "other"}, "configuration"),
        ({"training_data": "other"}, "training data"),
        ({"test_data": "other"}, "test data"),
    ],
)
def test_what_has_changed_makes_a_cell_stale(
    digits: FullData, hashes: dict[str, str], reason: str
) -> None:
    of = cell(data="digits")
    now = record(of, 50, fingerprint=fingerprint(of, digits, "code"))
    assert stale([now], "code", digits) == {}
    assert stale([edited(now, **hashes)], "code", digits) == {of.key: [reason]}


def test_an_ablation_with_other_overrides_is_stale() -> None:
    current = record(variant("mined once", 1), 50)
    former = record(cell("staged", variant="mined once", overrides=("SOLVER.BASE_LR", "0.1")), 50)
    gone = record(cell("staged", variant="no such thing"), 50)
    assert stale([current], "code", None) == {}
    assert stale([former], "code", None) == {former.cell.key: ["configuration"]}
    assert list(stale([gone], "code", None)) == [gone.cell.key]


def test_where_the_data_is_not_at_hand_figures_of_two_states_never_meet() -> None:
    old = [record(cell(method), 50) for method in ("plain", "staged")]
    other_drop = record(cell(drop=0.9), 50)
    new = edited(old[0], training_data="new").model_copy(
        update={"date": "2026-01-02T00:00:00+00:00"}
    )
    assert stale([*old, other_drop], "code", None) == {}
    assert stale([new, old[1], other_drop], "code", None) == {old[1].cell.key: ["training data"]}
    new = edited(new, training_data=old[0].fingerprint.training_data, test_data="new")
    assert stale([new, old[1], other_drop], "code", None) == {
        old[1].cell.key: ["test data"],
        other_drop.cell.key: ["test data"],
    }


# Objects that the published labels lack.

FIRST: XYXY = (0, 0, 100, 100)
UNLABELLED: XYXY = (200, 200, 300, 300)
# IoU with UNLABELLED: 60 x 100 / 10,000 = 0.6.
LOOSE: XYXY = (200, 200, 260, 300)
# IoU 0.25, and wholly inside of it.
INSIDE: XYXY = (200, 200, 250, 250)


@pytest.mark.parametrize(
    ("found", "as_published", "ignoring"),
    [
        # Precision 1/2 at every recall; without the first detection 1.
        ([(UNLABELLED, 1, 0.95), (FIRST, 1, 0.9)], 50.0, 100.0),
        # The second detection of the same object is as wrong as that of a labelled one.
        ([(UNLABELLED, 1, 0.95), (UNLABELLED, 1, 0.93), (FIRST, 1, 0.9)], 100 / 3, 50.0),
        # Ignored at the IoU thresholds 0.50, 0.55 and 0.60, wrong at the other seven.
        ([(LOOSE, 1, 0.95), (FIRST, 1, 0.9)], 50.0, (3 * 100 + 7 * 50) / 10),
        # A crowd region would take it.
        ([(INSIDE, 1, 0.95), (FIRST, 1, 0.9)], 50.0, 50.0),
        # Not missed.
        ([(FIRST, 1, 0.9)], 100.0, 100.0),
        # Of another class: wrong for that one, which has a label nobody found.
        ([(UNLABELLED, 2, 0.95), (FIRST, 1, 0.9)], 100.0, 100.0),
    ],
)
def test_detections_on_unlabelled_objects_do_not_count(
    found: list[tuple[XYXY, int, float]], as_published: float, ignoring: float
) -> None:
    images = (Image(1, "a.png", 640, 480),)
    categories = (Category(1, "cat"), Category(2, "dog"))
    dataset = Dataset(images, (Box(1, 1, 1, FIRST),), categories)
    boxes, classes, scores = (np.array(column) for column in zip(*found, strict=True))
    detections = [Detections(1, boxes.astype(np.float64), scores, classes, scores)]
    assert evaluate(detections, dataset).ap == pytest.approx(as_published)
    result = evaluate_ignoring(detections, dataset, [Box(1, 1, 1, UNLABELLED)])
    assert result.ap == pytest.approx(ignoring)
    assert result.annotations == 1


def test_a_label_goes_before_an_unlabelled_object() -> None:
    dataset = Dataset((Image(1, "a.png", 640, 480),), (Box(1, 1, 1, LOOSE),), (Category(1, "cat"),))
    score = np.array([0.9])
    detections = [Detections(1, np.array([UNLABELLED], dtype=float), score, np.array([1]), score)]
    # Right at the three thresholds that its IoU 0.6 with the label reaches, though the unlabelled
    # object fits better.
    result = evaluate_ignoring(detections, dataset, [Box(1, 1, 1, UNLABELLED)])
    assert result.ap == pytest.approx(30)


def test_mined_boxes_are_told_apart_by_what_they_lie_on() -> None:
    removed = [Box(1, 1, 1, FIRST), Box(2, 1, 2, UNLABELLED), Box(3, 2, 1, FIRST)]
    mined = [
        Box(1, 1, 1, FIRST),  # the class too
        Box(2, 1, 1, UNLABELLED),  # another class
        Box(3, 1, 1, FIRST),  # a second time
        Box(4, 1, 2, INSIDE),  # not enough of it
        Box(5, 3, 1, FIRST),  # no such object, but one without a label
        Box(6, 3, 2, UNLABELLED),  # the same, of another class
    ]
    unlabelled = [Box(1, 3, 1, FIRST), Box(2, 3, 1, UNLABELLED)]
    assert quality(mined, removed, unlabelled) == MinedQuality(
        boxes=6, on_removed=2, right_class=1, on_unlabelled=1
    )
    assert quality(mined[:2], removed, []) == MinedQuality(
        boxes=2, on_removed=2, right_class=1, on_unlabelled=None
    )
    assert quality([], removed, unlabelled).boxes == 0


# Figures over seeds.


def test_mean_sample_deviation_and_paired_differences() -> None:
    plain, staged = Spread({1: 50, 2: 52, 3: 57}), Spread({1: 51, 2: 55, 4: 90})
    # Squares 9, 1 and 16 of the distances to the mean, over 3 - 1.
    assert (plain.mean, plain.deviation) == (53, pytest.approx(np.sqrt(26 / 2)))
    assert plain.text() == "53.0 ± 3.6 (3)"
    assert (staged - plain).values == {1: 1, 2: 3}
    assert (staged - plain).text(signed=True) == "+2.0 ± 1.4 (2)"
    assert Spread({2: 48.25}).text() == "48.2 (1)"
    assert Spread({}).text() == "-"
    assert Spread({2: 48.25}).as_json() == {"mean": 48.25, "deviation": None, "seeds": {"2": 48.25}}


def table(text: str, head: str) -> list[list[str]]:
    """Return the cells of the rows below the line that starts with `head`."""
    lines = text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[part.strip() for part in line.strip("|").split("|")] for line in lines]


def test_the_report_shows_what_is_current_and_says_what_is_stale(tmp_path: Path) -> None:
    mined = {"labels": MinedQuality(boxes=20, on_removed=16, right_class=15, on_unlabelled=1)}
    records = [
        *(
            record(cell("plain", seed), 50 + seed, ignoring=60 + seed, cpu_seconds=80.0)
            for seed in (1, 2, 3)
        ),
        record(cell("staged", 1), 53, ignoring=64, mined=mined),
        record(cell("staged", 2), 58, ignoring=66, mined=mined),
        edited(record(cell("staged", 3), 99), code="former"),
        edited(record(cell("end-to-end", 1), 98), code="former"),
        record(variant("mined once", 1), 52, cpu_seconds=80.0),
        record(variant("mined once", 2), 55, cpu_seconds=100.0),
        record(cell("plain", drop=None, recipe="extreme"), 20),
    ]
    found = stale(records, "code", None)
    planned = cells("cells", PLAN, iterations=8, config="lite0_fpn")
    write_report(records, found, planned, tmp_path)
    text = (tmp_path / "accuracy.md").read_text()

    nothing = ["-"] * 9
    published, ignoring = text.split("The published test labels are incomplete.")
    assert table(published, "| removed | AP plain") == [
        ["0 %", *nothing],
        [
            *("50 %", "52.0 ± 1.0 (3)", "55.5 ± 3.5 (2)", "+4.0 ± 2.8 (2)", "-"),
            *("82.0 ± 1.0 (3)", "85.5 ± 3.5 (2)", "+4.0 ± 2.8 (2)", "-", "1.25 x"),
        ],
        ["70 %, `extreme`", "20.0 (1)", "-", "-", "-", "50.0 (1)", "-", "-", "-", "-"],
    ]
    assert table(ignoring, "| removed | AP plain")[1][1:4] == [
        *("62.0 ± 1.0 (3)", "65.0 ± 1.4 (2)", "+3.5 ± 0.7 (2)"),
    ]
    compared = table(text, "| variant")
    # Staged minus variant: 1 and 3; 100 seconds as a ratio to 80 and to 100.
    assert [compared[0][0], *compared[0][2:]] == [
        *("mined once", "+2.0 ± 1.4 (2)", "+2.0 ± 1.4 (2)", "1.12 x"),
    ]
    assert [row[2:] for row in compared[1:]] == [["-", "-", "-"]] * (len(ABLATIONS) - 1)
    assert table(text, "| removed | boxes") == [
        ["50 %", "70", "labels", "20", "80 %", "75 %", "5 %"]
    ]
    assert text[text.index("## Stale cells") :].splitlines()[-2:] == [
        "- `cells/random-0.5-end-to-end-s1-8it-lite0_fpn`: code",
        "- `cells/random-0.5-staged-s3-8it-lite0_fpn`: code",
    ]
    content = json.loads((tmp_path / "accuracy.json").read_text())
    assert set(content["stale"]) == set(found)
    row = content["sections"][0]["rows"][1]
    assert row["as_published"]["AP"]["staged"] == {
        "mean": 55.5,
        "deviation": 3.54,
        "seeds": {"1": 53.0, "2": 58.0},
    }
    assert row["as_published"]["AP"]["end-to-end"] is None
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_figures_of_other_settings_stand_apart(tmp_path: Path) -> None:
    records = [record(cell(), 50), record(cell(iterations=16), 60)]
    write_report(records, {}, [], tmp_path)
    sections = json.loads((tmp_path / "accuracy.json").read_text())["sections"]
    means = [one["rows"][0]["as_published"]["AP"]["plain"]["mean"] for one in sections]
    assert sorted(means) == [50, 60]


def test_records_are_read_as_they_were_written_or_refused(tmp_path: Path) -> None:
    one = record(variant("mined once", 1), 50, ignoring=60)
    write_record(one, tmp_path)
    assert read_records(tmp_path) == [one]
    path = next(tmp_path.glob("*/*.json"))
    path.write_text('{"cell": 1}')
    with pytest.raises(SparseDetError, match="not the record of a cell"):
        read_records(tmp_path)


def test_settings_are_chosen_on_training_images_alone(digits: FullData) -> None:
    chosen = inner(digits)
    train, test = (
        {image.file_name for image in part.images} for part in (chosen.train, chosen.test)
    )
    assert train | test == {image.file_name for image in digits.train.images}
    assert not train & test
    assert len(test) == len(digits.train.images) // 4
    assert len(chosen.train.boxes) + len(chosen.test.boxes) == len(digits.train.boxes)
    assert (chosen.name, chosen.test_images) == ("digits-inner", digits.train_images)
    sparse, removed = chosen.sparse(cell())
    assert {
        box.image_id for box in (*sparse.boxes, *removed.boxes)
    } <= chosen.train.image_by_id.keys()


# Trainings.


def test_an_interrupted_training_goes_on_unless_something_changed(
    digits: FullData, tmp_path: Path
) -> None:
    mines_early = ("SPARSEDET.STAGED.MIN_ITER", "0")
    of = cell("staged", iterations=6, variant="mines early", overrides=mines_early)
    done: list[int] = []

    def press_at_four(progress: StageProgress) -> None:
        done.append(progress.iteration)
        if progress.iteration == 4:
            signal.raise_signal(signal.SIGINT)

    def train(code: str, on_progress: object = None) -> Record:
        made_from = fingerprint(of, digits, code)
        chosen = on_progress or (lambda progress: done.append(progress.iteration))
        return train_cell(of, digits, made_from, tmp_path / "cell", chosen)

    with pytest.raises(KeyboardInterrupt):
        train("code", press_at_four)
    assert done == [1, 2, 3, 4]
    before = json.loads((tmp_path / "cell" / "seconds.json").read_text())["seconds"]
    done.clear()
    finished = train("code")
    # Six iterations in all: what another stage repeats would not be equal totals.
    assert done == [5, 6]
    assert finished.seconds > before > 0
    assert (finished.training_boxes, finished.removed_boxes) == (
        len(digits.sparse(of)[0].boxes),
        len(digits.sparse(of)[1].boxes),
    )
    assert finished.mined.keys() >= {"labels", "doubtful"}
    done.clear()
    train("other code")
    assert done == [1, 2, 3, 4, 5, 6]


def test_the_script_trains_a_cell_once(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, work = tmp_path / "results", tmp_path / "work"
    arguments = [
        *("--data", str(folder), "--results", str(results), "--work", str(work)),
        *("--drops", "0.5", "--seeds", "1", "--iterations", "3", "--only", "plain"),
    ]
    subprocess.run([sys.executable, SCRIPT, *arguments, "--keep"], check=True, timeout=300)
    (file,) = results.glob("cells/*/*.json")
    first = Record.model_validate(json.loads(file.read_text()))
    assert first.cell.key == "scenes/random-0.5-plain-s1-3it-lite0_fpn"
    assert first.fingerprint == fingerprint(first.cell, read_folder(folder), code_hash())
    assert first.unlabelled_ignored is not None
    kept = work / first.cell.key / "run"
    assert read_metrics(kept / "metrics.json")[-1]["iteration"] == 3

    written = file.stat().st_mtime_ns
    main(arguments=arguments)
    assert capsys.readouterr().out == "scenes: 1 cells, 0 to train\n"
    assert file.stat().st_mtime_ns == written

    write_record(edited(first, code="former"), results / "cells")
    main(arguments=[*arguments, "--list"])
    assert capsys.readouterr().out.split() == ["stale", first.cell.key]
    main(arguments=[*arguments, "--time-limit", "0"])
    assert "1 cells are left" in capsys.readouterr().out
    text = (results / "accuracy.md").read_text()
    assert table(text, "| removed | AP plain") == [["50 %", *["-"] * 9]]
    assert f"- `{first.cell.key}`: code" in text
    main(arguments=arguments)
    assert read_records(results / "cells")[0].fingerprint == first.fingerprint
    assert not kept.exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--only", "nothing"], "--only nothing: no cell's key contains that"),
        (["--config", "none"], "no configuration 'none'"),
        (["--drops", "2"], "drop is 2.0"),
        (["--iterations", "0"], "SOLVER.MAX_ITER is 0"),
    ],
)
def test_bad_input_is_told_in_one_line(
    more: list[str], message: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments=["--data", str(folder), "--results", str(tmp_path / "results"), *more])
    told = str(caught.value)
    assert told.startswith("error: ")
    assert message in told
    assert "\n" not in told
    assert not list(tmp_path.rglob("accuracy.*"))


def test_one_call_trains_at_a_time(folder: Path, tmp_path: Path) -> None:
    lock = tmp_path / "cells" / ".lock"
    lock.parent.mkdir()
    arguments = ["--data", str(folder), "--results", str(tmp_path)]
    with FileLock(lock), pytest.raises(SystemExit, match=r"error: .*another call trains cells"):
        main(arguments=arguments)
    main(arguments=[*arguments, "--time-limit", "0"])

"""`sparsedet recipes`; and `sparsedet split` with recipes, their parameters, and released files."""

import json
from pathlib import Path

import pytest

from sparsedet.annotations import read_coco, write_coco
from sparsedet.sparsify import load_recipe, recipe_names, remove_boxes
from tests.cli.command import sparsedet, sparsedet_here
from tests.sparsify.datasets import grid

OWN = """
description: Half of every class, but one per image at least.
source: Our annotators.
rules:
- rule: drop-fraction
  parameters: {drop: 0.5, per: class}
- rule: keep-at-least
  parameters: {count: 1, per: image}
"""


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A COCO file of 10 images with 6 boxes each."""
    write_coco(grid(10, 6), tmp_path / "full.json")
    return tmp_path / "full.json"


@pytest.mark.parametrize("name", ["skip-crowded", "images-x-boxes", "smallest-first", "per-class"])
def test_named_recipes(name: str, full: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = sparsedet_here("split", full, "--recipe", name, "-o", out, "--json")
    assert result.status == 0, result.err
    expected, _ = remove_boxes(grid(10, 6), load_recipe(name), seed=1)
    assert [box.id for box in read_coco(out / "train.json").boxes] == [
        box.id for box in expected.boxes
    ]
    assert result.json()["recipe"] == load_recipe(name).as_json()


def test_parameters_are_set(full: Path, tmp_path: Path) -> None:
    result = sparsedet_here(
        "split", full, "--recipe", "skip-small", "--drop", "0.2", "--set", "strength=inf",
        "--set", "per=class", "-o", tmp_path / "out", "--json",
    )  # fmt: skip
    assert result.status == 0, result.err
    parameters = {"drop": 0.2, "per": "class", "order": "small", "strength": "inf"}
    assert result.json()["recipe"]["rules"][0]["parameters"] == parameters
    assert result.json()["boxes"] == {"train": 48, "removed": 12}


def test_own_recipe_with_rules_composed(full: Path, tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(OWN, encoding="utf-8")
    out = tmp_path / "out"
    result = sparsedet_here("split", full, "--recipe", tmp_path / "ours.yaml", "-o", out)
    assert result.status == 0, result.err
    assert (
        "after recipe ours (drop-fraction (drop 0.5, per class, order random), "
        "keep-at-least (count 1, per image)), seed 1" in result.out
    )
    train = read_coco(out / "train.json")
    assert set(train.counts().values()) == {10}
    assert all(train.boxes_by_image.values())


def test_the_list_of_recipes(tmp_path: Path) -> None:
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/split4_hard.json").touch()
    result = sparsedet("recipes", "--data-root", tmp_path)
    assert result.status == 0, result.err
    lines = {line.split()[0]: line for line in result.out.splitlines() if line.startswith("  ")}
    assert set(recipe_names()) < set(lines)
    assert "one box" not in lines["keep1"]
    assert lines["keep1"].split(maxsplit=1)[1] == "Keeps 1 box of every class in every image"
    assert all(len(lines[name]) <= 120 for name in recipe_names())
    assert lines["split4_hard"].split()[-2:] == ["hard", "yes"]
    assert lines["split4_easy"].split()[-1] == "easy"
    assert sum(name.startswith("split") for name in lines) == 15


def test_the_list_of_recipes_for_machines() -> None:
    listed = sparsedet_here("recipes", "--json").json()
    assert [recipe["name"] for recipe in listed["recipes"]] == recipe_names()
    assert all(recipe["description"] and recipe["source"] for recipe in listed["recipes"])
    assert len(listed["paper"]) == 15
    assert listed["paper"][0] == {
        "name": "split1_30p",
        "dataset": "COCO train2017",
        "dropped": "30 %",
        "at_hand": False,
    }


@pytest.mark.parametrize("given", ["name", "path"])
def test_one_recipe_is_shown_with_rules_parameters_and_source(given: str, tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(OWN, encoding="utf-8")
    recipe = load_recipe("images-x-boxes" if given == "name" else str(tmp_path / "ours.yaml"))
    words = "images-x-boxes" if given == "name" else tmp_path / "ours.yaml"
    result = sparsedet_here("recipes", words)
    assert result.status == 0, result.err
    shown = " ".join(result.out.split())
    assert shown.startswith(f"{recipe.name} {recipe.description} rules ")
    assert shown.endswith(f" source: {recipe.source}")
    for rule in recipe.as_json()["rules"]:
        values = " ".join(f"{name} {value}" for name, value in rule["parameters"].items())
        assert f" {rule['rule']} {values} " in shown
    listed = sparsedet_here("recipes", words, "--json").json()
    assert listed == {**recipe.as_json(), "description": recipe.description}


def test_a_recipe_that_there_is_not_is_one_line() -> None:
    assert "choose from easy, extreme, hard" in sparsedet_here("recipes", "soft").error()


@pytest.mark.parametrize("given", ["name", "file name", "path"])
def test_a_released_file_is_used_as_it_is(given: str, full: Path, tmp_path: Path) -> None:
    sparse, removed = remove_boxes(read_coco(full), load_recipe("hard"), seed=9)
    file = tmp_path / "splits/split1_50p.json"
    write_coco(sparse, file)
    out = tmp_path / "out"
    name = "split1_50p" if given == "name" else "split1_50p.json"
    released = [file] if given == "path" else [name, "--data-root", tmp_path]
    result = sparsedet_here("split", full, "--released", *released, "-o", out, "--json")
    assert result.status == 0, result.err
    assert (out / "train.json").read_bytes() == file.read_bytes()
    assert list(read_coco(out / "removed.json").boxes) == list(removed.boxes)
    record = json.loads((out / "split.json").read_text(encoding="utf-8"))
    assert record["released"]["name"] == "split1_50p"
    assert record["recipe"] is None
    assert result.json() == {"output": str(out), **record}
    again = sparsedet_here("split", full, "--released", *released, "-o", out)
    assert again.status == 0, again.err
    assert "of the released file split1_50p, all found in the full file (30 by id" in again.out
    assert "0 by position; edges differ by up to 0.0 px)" in again.out


def test_a_released_file_of_another_dataset_is_refused(full: Path, tmp_path: Path) -> None:
    write_coco(grid(11, 6), tmp_path / "other.json")
    refused = sparsedet_here(
        "split", full, "--released", tmp_path / "other.json", "-o", tmp_path / "o"
    )
    assert "1 of 11 images are not in the full file (first: 0010.jpg)" in refused.error()
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "paper"], "paper is not a recipe but a list of published files"),
        (["--recipe", "gone.yaml"], "gone.yaml: no such recipe file"),
        (["--recipe", "ours.yaml", "--drop", "0.95"], "can't drop 19 of 20 boxes of class 'class"),
        (["--recipe", "ours.yaml", "--drop", "0.95"], ".jpg); drop fewer, or keep fewer"),
        (["--recipe", "broken.yaml"], "unknown parameter dorp; valid are drop, per, order, stre"),
        (["--recipe", "easy", "--set", "count=2"], "several rules with the parameter count"),
        (["--recipe", "easy", "--set", "strength"], "--set strength: expected NAME=VALUE"),
        (["--recipe", "easy", "--set", "=2"], "--set =2: expected NAME=VALUE"),
        (["--recipe", "easy", "--set", "per=day"], "several rules with the parameter per"),
        (["--recipe", "random", "--set", "per=day"], "per is 'day', expected one of dataset,"),
        (["--recipe", "random", "--set", "drop=nan"], "drop is nan, expected a share"),
        (["--set", "per=day"], "--set needs a recipe"),
        (["--released", "full.json", "--recipe", "easy"], "drop --recipe"),
        (
            ["--released", "full.json", "--drop", "0", "--set", "a=b", "--val", "0"],
            "--released uses the file as it is; drop --drop and --set and --val",
        ),
        (["--released", "split1_50p"], "split1_50p: missing data folder: pass --data-root FOLDER"),
        (["--released", "split9"], "not a file or a released split (split1_30p"),
    ],
)
def test_wrong_use_is_one_clear_line(
    arguments: list[str], message: str, full: Path, tmp_path: Path
) -> None:
    (tmp_path / "ours.yaml").write_text(OWN, encoding="utf-8")
    (tmp_path / "broken.yaml").write_text(OWN.replace("drop:", "dorp:"), encoding="utf-8")
    refused = sparsedet_here("split", full, *arguments, "-o", "out", cwd=tmp_path)
    assert message in refused.error()
    assert not (tmp_path / "out").exists()


def test_a_folder_to_make_is_asked_for(full: Path) -> None:
    assert "pass -o FOLDER" in sparsedet_here("split", full, "--recipe", "random").error()


def test_images_that_are_there_twice_are_named(full: Path, tmp_path: Path) -> None:
    content = json.loads(full.read_text(encoding="utf-8"))
    content["images"].append({**content["images"][3], "id": 99})
    full.write_text(json.dumps(content), encoding="utf-8")
    words = ("split", full, "--recipe", "random", "-o", tmp_path / "out")
    refused = sparsedet_here(*words, "--strict")
    assert "images id 99: duplicate file_name '0003.jpg', also of image id 3" in refused.error()
    split = sparsedet_here(*words)
    assert split.status == 0
    assert "images id 99" in split.err

"""Which images commands use from data with splits, common classes, and broken images."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import Category, Dataset, write_coco
from sparsedet.formats import load_format
from sparsedet.simulation.scenes import make_scenes
from tests.cli.command import Result, sparsedet_here

Words = list[str | Path]

SHORT = ["SOLVER.MAX_ITER", "1", "SOLVER.WARMUP_ITERS", "1", "SOLVER.IMS_PER_BATCH", "2"]
SIZES = {"train": 4, "valid": 3, "test": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as Roboflow exports it: images of a split next to its JSON file."""
    root = tmp_path_factory.mktemp("data")
    scenes = make_scenes(sum(SIZES.values()), root / "all", seed=1)
    images = iter(scenes.images)
    for split, count in SIZES.items():
        part = scenes.with_images([next(images) for _ in range(count)])
        (root / "set" / split).mkdir(parents=True)
        for image in part.images:
            shutil.copy(root / "all" / image.file_name, root / "set" / split / image.file_name)
        write_coco(part, root / "set" / split / "_annotations.coco.json")
    return root / "set"


def boxes_of(data: Path, split: str) -> int:
    content = json.loads((data / split / "_annotations.coco.json").read_text())
    return len(content["annotations"])


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    run = tmp_path_factory.mktemp("trained") / "run"
    words: Words = [
        "train",
        "--train",
        data,
        "-o",
        run,
        "--method",
        "plain",
        "--json",
        *SHORT,
    ]
    result = sparsedet_here(*words)
    assert result.status == 0, result.err
    return run, result


def test_train_takes_train_and_is_measured_on_val(data: Path, trained: tuple[Path, Result]) -> None:
    run, result = trained
    assert len(json.loads((run / "train.json").read_text())["images"]) == SIZES["train"]
    assert result.json()["evaluation"]["images"] == SIZES["valid"]
    assert f"{data}: using its split train (of train, val, test; --split chooses" in result.err
    assert f"{data}: evaluating on its split val (--val chooses other data)" in result.err


def test_a_split_val_without_annotations_is_not_measured_on(data: Path, tmp_path: Path) -> None:
    bare = tmp_path / "set"
    shutil.copytree(data, bare)
    file = bare / "valid" / "_annotations.coco.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "annotations": []}))
    # Nothing is trained: what is wrong with the method comes up later.
    words: Words = ["train", "--train", bare, "-o", tmp_path / "run", "--method", "magic"]
    result = sparsedet_here(*words)
    assert f"{bare}: not evaluated, as its split val has no annotations" in result.err
    assert "unknown method 'magic'" in result.err


@pytest.mark.parametrize(
    ("asked", "images"),
    [
        ((), 3),
        (("--split", "train"), 4),
        (("--split", "test"), 2),
        (("--split", "all"), 9),
        (("--split", "validation"), 3),
    ],
)
def test_eval_takes_val_or_what_is_asked_for(
    asked: tuple[str, ...], images: int, data: Path, trained: tuple[Path, Result]
) -> None:
    result = sparsedet_here("eval", trained[0], "--data", data, "--json", *asked)
    assert result.status == 0, result.err
    assert result.json()["images"] == images
    assert ("using its split val" in result.err) == (not asked)


def test_images_that_cannot_be_read_do_not_count_as_missed(
    data: Path, trained: tuple[Path, Result], tmp_path: Path
) -> None:
    shutil.copytree(data / "valid", tmp_path / "val")
    content = json.loads((tmp_path / "val/_annotations.coco.json").read_text())
    broken = content["images"][0]
    whole = (tmp_path / "val" / broken["file_name"]).read_bytes()
    lost = sum(box["image_id"] == broken["id"] for box in content["annotations"])
    assert lost
    # The pixels are cut short; then the header is broken, too.
    for left in (whole[: len(whole) * 9 // 10], b"no image"):
        (tmp_path / "val" / broken["file_name"]).write_bytes(left)
        for strict in ((), ("--strict",)):
            result = sparsedet_here(
                "eval", trained[0], "--data", tmp_path / "val", "--json", *strict
            )
            assert result.status == 0, result.err
            assert result.json()["images"] == 2
            assert result.json()["annotations"] == len(content["annotations"]) - lost
            assert broken["file_name"] in result.err or f"images id {broken['id']}" in result.err


def test_classes_in_common_are_measured(
    data: Path, trained: tuple[Path, Result], tmp_path: Path
) -> None:
    dataset = load_format("coco").read(data, split="val").dataset
    first, *others = dataset.categories
    renamed = replace(dataset, categories=(replace(first, name="unheard"), *others))
    write_coco(renamed, tmp_path / "a.json")
    words: Words = [
        "eval",
        trained[0],
        "--data",
        tmp_path / "a.json",
        "--images",
        data / "valid",
    ]
    result = sparsedet_here(*words, "--json")
    assert result.status == 0, result.err
    lost = sum(box.category_id == first.id for box in dataset.boxes)
    assert result.json()["annotations"] == len(dataset.boxes) - lost
    assert result.json()["per_class"][first.name] is None
    assert (
        f"evaluated on the {len(others)} classes in common: the training has no unheard "
        f"({lost} boxes left out); the data has no {first.name}"
    ) in result.err
    strangers = tuple(Category(c.id, f"other {c.id}") for c in dataset.categories)
    write_coco(replace(dataset, categories=strangers), tmp_path / "a.json")
    says = f"{tmp_path / 'a.json'}: classes differ from those of the training (only there: "
    assert says in sparsedet_here(*words).error()
    mine: Words = ["mine", *words[1:], "-o", tmp_path / "mined.json"]
    assert says in sparsedet_here(*mine).error()


def test_validation_has_images_of_its_own(data: Path, tmp_path: Path) -> None:
    """Both files have images of the same names, in folders of their own."""
    for split in ("train", "valid"):
        dataset = load_format("coco").read(data / split / "_annotations.coco.json").dataset
        names = [f"{number}.jpg" for number in range(len(dataset.images))]
        (tmp_path / f"{split}-images").mkdir()
        for image, name in zip(dataset.images, names, strict=True):
            shutil.copy(data / split / image.file_name, tmp_path / f"{split}-images" / name)
        images = [replace(i, file_name=n) for i, n in zip(dataset.images, names, strict=True)]
        write_coco(replace(dataset, images=tuple(images)), tmp_path / f"{split}.json")
    (tmp_path / "train-images/2.jpg").rename(tmp_path / "train-images/9.jpg")
    text = (tmp_path / "train.json").read_text().replace('"2.jpg"', '"9.jpg"')
    (tmp_path / "train.json").write_text(text)
    words: Words = [
        "train",
        "--train",
        tmp_path / "train.json",
        "--images",
        tmp_path / "train-images",
    ]
    words += ["--val", tmp_path / "valid.json", "--strict", "--method", "plain", "--json"]
    refused = sparsedet_here(*words, "-o", tmp_path / "no", *SHORT)
    assert "2.jpg: no such image file" in refused.error()
    given: Words = ["--val-images", tmp_path / "valid-images"]
    result = sparsedet_here(*words, *given, "-o", tmp_path / "run", *SHORT)
    assert result.status == 0, result.err
    assert result.json()["evaluation"]["images"] == SIZES["valid"]


def _voc(dataset: Dataset, data: Path, target: Path) -> Path:
    target.mkdir()
    load_format("voc").write(dataset, target, images=data)
    flat = [image.file_name.rsplit(".", 1)[0] for image in dataset.images]
    sets = target / "ImageSets/Main"
    (sets / "train.txt").write_text("".join(f"{name}\n" for name in flat[:4]))
    (sets / "val.txt").write_text("".join(f"{name}\n" for name in flat[4:]))
    return target


@pytest.fixture(scope="module")
def formats(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the same data in every format, divided into train and val."""
    root = tmp_path_factory.mktemp("formats")
    whole = load_format("coco").read(data)
    assert whole.images is not None
    named = {image.id: image.file_name.replace("valid/", "val/") for image in whole.dataset.images}
    images = tuple(replace(i, file_name=named[i.id]) for i in whole.dataset.images)
    yolo = root / "yolo"
    (root / "pictures").mkdir()
    for image, original in zip(images, whole.dataset.images, strict=True):
        target = root / "pictures" / image.file_name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(whole.images / original.file_name, target)
    yolo.mkdir()
    dataset = replace(whole.dataset, images=images)
    load_format("yolo").write(dataset, yolo, images=root / "pictures")
    return {"coco": data, "yolo": yolo, "voc": _voc(whole.dataset, data, root / "voc")}


@pytest.mark.parametrize("kind", ["coco", "yolo", "voc"])
def test_split_takes_train_and_says_so(kind: str, formats: dict[str, Path], tmp_path: Path) -> None:
    words: Words = ["split", formats[kind], "--recipe", "easy", "--json", "-o"]
    result = sparsedet_here(*words, tmp_path / "a")
    assert result.status == 0, result.err
    assert result.json()["images"]["train"] == 4
    assert "using its split train (of train, val" in result.err
    for asked, images in (("all", 9), ("val", 3 if kind != "voc" else 5)):
        result = sparsedet_here(*words, tmp_path / asked, "--split", asked)
        assert result.json()["images"]["train"] == images


@pytest.mark.parametrize("kind", ["coco", "yolo", "voc"])
def test_convert_and_compare_take_all_and_say_so(
    kind: str, formats: dict[str, Path], tmp_path: Path
) -> None:
    words: Words = ["convert", formats[kind], "--to", "coco", "--json"]
    whole = sparsedet_here(*words, tmp_path / "whole")
    assert (whole.status, whole.json()["images"]) == (0, 9)
    assert "using all images (of train, val" in whole.err
    part = sparsedet_here(*words, tmp_path / "part", "--split", "train")
    assert part.json()["images"] == 4
    compared = sparsedet_here("compare", formats[kind], tmp_path / "part", "--json")
    assert compared.status == 0, compared.err
    assert "using all images" in compared.err
    same = sparsedet_here(
        "compare", formats[kind], tmp_path / "part/annotations.json", "--split", "train", "--json"
    )
    assert same.json()["total"]["removed"] == 0
    assert compared.json()["total"]["removed"] > 0


def test_data_without_the_usual_split_asks_for_one(data: Path, tmp_path: Path) -> None:
    for split in ("valid", "test"):
        shutil.copytree(data / split, tmp_path / "set" / split)
    words: Words = [
        "split",
        tmp_path / "set",
        "--recipe",
        "easy",
        "-o",
        tmp_path / "out",
    ]
    assert "has the splits val, test, but no train; choose one with --split" in (
        sparsedet_here(*words).error()
    )
    assert sparsedet_here(*words, "--split", "val").status == 0

"""Label Studio's JSON without a server: exports, and files to import."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError
from sparsedet.formats import detect_format, load_format, read_dataset
from tests.integrations.files.formats.datasets import objects, write, write_image

VALUE = {"x": 10.0, "y": 25.0, "width": 20.0, "height": 50.0, "rotation": 0}
CORNERS = (12, 20, 36, 60)


def region(label: Any = "dog", kind: Any = "rectanglelabels", **value: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "type": kind,
        "from_name": "label",
        "to_name": "image",
        "original_width": 120,
        "original_height": 80,
        "value": {**(value or VALUE), kind: [label]},
    }


def task(id: int, image: str, *regions: Any, **keys: Any) -> dict[str, Any]:
    annotation = {"id": id, "was_cancelled": False, "result": list(regions)}
    return {
        "id": id,
        "annotations": [annotation],
        "predictions": [],
        "data": {"image": image},
        **keys,
    }


def export(folder: Path, *tasks: Any, images: tuple[str, ...] = ()) -> Path:
    for name in images:
        write_image(folder / "images" / name)
    return write(folder, "project-1-at-2026-01-01.json", json.dumps(tasks))


def test_an_export_with_all_shapes_that_have_a_box(tmp_path: Path) -> None:
    shapes = (
        region(),
        region(**{**VALUE, "x": 50.0, "y": 50.0, "rotation": 90}),
        region("an owl", "polygonlabels", points=[[50, 50], [75, 50], [50, 75]]),
        region("dog", "ellipselabels", x=50, y=50, radiusX=10, radiusY=25, rotation=0),
        {"type": "choices", "value": {"choices": ["night"]}},
    )
    path = export(
        tmp_path,
        task(1, "/data/upload/1/0a1b2c3d-a%20b.jpg", *shapes),
        task(2, "/data/local-files/?d=sub/c%20d.jpg"),
        task(3, "s3://bucket/folder/e.jpg", region()),
        images=("a b.jpg", "sub/c d.jpg", "e.jpg"),
    )
    assert detect_format(path) == detect_format(tmp_path) == "label-studio"
    dataset, images = read_dataset(path)
    assert images == tmp_path / "images"
    assert objects(dataset) == {
        "a b.jpg": [
            ("dog", pytest.approx(CORNERS)),
            # 24 x 40 pixels, turned about the top left corner.
            ("dog", pytest.approx((20, 40, 60, 64))),
            ("an owl", pytest.approx((60, 40, 90, 60))),
            ("dog", pytest.approx((48, 20, 72, 60))),
        ],
        "e.jpg": [("dog", pytest.approx(CORNERS))],
        "sub/c d.jpg": [],
    }
    rectangles = sum(
        r["type"].endswith("labels")
        for t in json.loads(path.read_text())
        for r in t["annotations"][0]["result"]
    )
    assert len(dataset.boxes) == rectangles


def test_every_file_of_a_folder_is_read(tmp_path: Path) -> None:
    for number in range(25):
        write_image(tmp_path / f"images/{number}.jpg")
        content = json.dumps([task(number, f"{number}.jpg", region())])
        write(tmp_path, f"batch {number}.json", content)
    assert detect_format(tmp_path) == "label-studio"
    assert len(read_dataset(tmp_path).dataset.images) == 25


def test_local_files_of_windows_are_found(tmp_path: Path) -> None:
    for name in ("images/day/a b.jpg", "images/night/a b.jpg"):
        write_image(tmp_path / name)
    address = "/data/local-files/?d=day%5Ca%20b.jpg"
    write(tmp_path, "export.json", json.dumps([task(1, address, region())]))
    assert list(objects(read_dataset(tmp_path).dataset)) == ["day/a b.jpg"]


def test_json_min(tmp_path: Path) -> None:
    value = {**VALUE, "rectanglelabels": ["dog"], "original_width": 120, "original_height": 80}
    entry = {
        "id": 7,
        "image": "/data/upload/1/0a1b2c3d-a.jpg",
        "label": [value, value],
        "annotator": 1,
        "annotation_id": 3,
        "updated_at": "2026-01-01T00:00:00Z",
    }
    later = {**entry, "annotation_id": 4, "label": [value], "updated_at": "2026-01-02T00:00:00Z"}
    path = export(tmp_path, entry, later, {**entry, "id": 8, "image": "/data/upload/1/b.jpg"})
    dataset, images = read_dataset(path)
    assert (detect_format(path), images) == ("label-studio", None)
    # Of the two annotations of task 7 the later one counts.
    counts = {name: len(own) for name, own in objects(dataset).items()}
    assert counts == {"0a1b2c3d-a.jpg": 1, "b.jpg": 2}
    assert dataset.boxes[0].xyxy == pytest.approx(CORNERS)


def test_json_min_with_several_values_of_a_region(tmp_path: Path) -> None:
    """Label Studio repeats the place of a region for each control that says something of it."""
    place = {**VALUE, "original_width": 120, "original_height": 80}
    other = {**place, "x": 50.0}
    entry = {
        "id": 7,
        "image": "a.jpg",
        "drawn": [place, other],
        "label": [{**place, "labels": ["dog"]}, {**other, "labels": ["cat"]}],
        "seen": [{**place, "choices": ["near", "wet"]}],
        "sure": [{**place, "rating": 3}],
        "annotation_id": 3,
    }
    bare = {**entry, "id": 8, "image": "b.jpg", "drawn": [{**place, "y": 1.0}]}
    path = export(tmp_path, entry, bare, images=("a.jpg", "b.jpg"))
    faults = Faults(path)
    found = objects(read_dataset(path, faults=faults).dataset)
    assert [name for name, _ in found["a.jpg"]] == ["dog", "cat"]
    (fault,) = faults.found
    assert "task 8: region drawn-0: has no label" in fault.detail


def test_which_annotation_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def made(day: int, boxes: int, **keys: Any) -> dict[str, Any]:
        saved = f"2026-01-0{day}T00:00:00Z"
        return {"id": day, "updated_at": saved, "result": [region()] * boxes, **keys}

    path = export(
        tmp_path,
        task(1, "a.jpg", annotations=[made(2, 2), made(1, 1), made(3, 3, was_cancelled=True)]),
        task(2, "b.jpg", annotations=[made(1, 1, ground_truth=True), made(2, 2)]),
        task(3, "c.jpg", annotations=[], predictions=[{"id": 1, "result": [region()]}]),
        images=("a.jpg", "b.jpg", "c.jpg"),
    )
    with caplog.at_level(logging.WARNING):
        counts = {name: len(own) for name, own in objects(read_dataset(path).dataset).items()}
    assert counts == {"a.jpg": 2, "b.jpg": 1, "c.jpg": 0}
    assert "2 tasks have several annotations" in caplog.text


LISTED: list[dict[str, Any]] = [
    {"id": 1, "data": {"image": "a.jpg"}, "annotations": [5], "predictions": [{"result": []}]},
    {"id": 1, "data": {"image": "a.jpg"}, "total_annotations": 1, "annotators": [2]},
]


@pytest.mark.parametrize("listed", LISTED, ids=["ids", "numbers"])
def test_tasks_listed_without_their_annotations_are_not_read_as_empty_images(
    listed: dict[str, Any], tmp_path: Path
) -> None:
    own = [task(id, f"{id}.jpg", region()) for id in range(2, 8)]
    path = export(tmp_path, listed, *own, images=("a.jpg", *(f"{id}.jpg" for id in range(2, 8))))
    faults = Faults(path)
    dataset = read_dataset(path, faults=faults).dataset
    assert [image.file_name for image in dataset.images] == [f"{id}.jpg" for id in range(2, 8)]
    (fault,) = faults.found
    assert "task 1: has annotations, but they are not in this file" in fault.detail

    export(tmp_path, {**listed, "predictions": [{"result": [region()]}]})
    with pytest.raises(AnnotationError, match="export the project as JSON"):
        read_dataset(path)


def test_drafts_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    draft = {"id": 7, "result": [region()]}
    path = export(
        tmp_path,
        task(1, "a.jpg", region(), drafts=[7]),  # as in usual exports
        task(2, "b.jpg", region(), drafts=[draft]),
        task(3, "c.jpg", region(), drafts=[{**draft, "result": []}]),
        images=("a.jpg", "b.jpg", "c.jpg"),
    )
    with caplog.at_level(logging.WARNING):
        assert len(read_dataset(path).dataset.boxes) == 3
    assert "2 tasks have a draft, left out; people have to submit it first" in caplog.text


def test_labels_apart_from_their_shapes(tmp_path: Path) -> None:
    shape = {**region(), "type": "rectangle", "value": VALUE}
    path = export(
        tmp_path,
        task(1, "a.jpg", shape, {**region(), "type": "labels", "value": {"labels": ["cat"]}}),
    )
    assert objects(read_dataset(path).dataset) == {"a.jpg": [("cat", pytest.approx(CORNERS))]}


def test_what_is_wrong_is_left_out_and_listed(tmp_path: Path) -> None:
    good = [region() for _ in range(8)]
    path = export(
        tmp_path,
        task(
            1,
            "a.jpg",
            *good,
            region("dog", "brushlabels", rle=[1], format="rle"),
            region("dog", "bitmasklabels", imageDataURL="data:image/png;base64,"),
            region("dog", "keypointlabels", x=1, y=2, width=1),
            region(**{**VALUE, "width": "wide"}),
            {**region(), "id": "r2", "value": VALUE},
        ),
        task(2, "gone.jpg"),
        {"id": 3, "annotations": [], "data": {"text": "no image"}},
        images=("a.jpg",),
    )
    faults = Faults(path)
    assert len(read_dataset(path, faults=faults).dataset.boxes) == 8
    kinds = sorted(fault.kind.name for fault in faults.found)
    assert kinds == [
        "box-broken",
        "box-broken",
        "image-broken",
        "image-missing",
        "no-box",
        "no-box",
        "no-box",
    ]
    with pytest.raises(AnnotationError, match="task 3: has no image in its data"):
        read_dataset(path)
    export(tmp_path, task(1, "a.mp4", {"type": "videorectangle", "value": {"sequence": []}}))
    with pytest.raises(AnnotationError, match="contains video tracks"):
        read_dataset(path)


@pytest.mark.parametrize(
    "second",
    [{"id": "r2", "to_name": "image2"}, {"id": "r2", "item_index": 1}, {"item_index": [1]}],
    ids=["two image tags", "pages", "an odd page"],
)
def test_boxes_on_several_images_of_a_task_are_refused(
    second: dict[str, Any], tmp_path: Path
) -> None:
    """The labelling config, which the export lacks, says which image is meant."""
    data = {"image": "a.jpg", "other": "b.jpg"}
    both = task(1, "a.jpg", {**region(), "item_index": 0}, {**region(), **second}, data=data)
    # Here, the only box may be on the second image, too.
    path = export(tmp_path, both, task(2, "a.jpg", region(), data=data), images=("a.jpg", "b.jpg"))
    faults = Faults(path)
    with pytest.raises(AnnotationError, match=r"task 1: has boxes on several images .*pull"):
        read_dataset(path)
    assert not read_dataset(path, faults=faults).dataset.images
    with pytest.raises(AnnotationError, match="several images"):
        faults.check()


def test_further_images_in_the_data_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    same = {"image": "/data/upload/1/0a1b2c3d-a.jpg", "name": "a.jpg"}
    pair = {"left": "s3://bucket/a.jpg", "right": "s3://bucket/b.jpg"}
    for number, data in enumerate((same, pair)):
        folder = tmp_path / str(number)
        path = export(folder, task(1, "", region(), data=data), images=("a.jpg", "b.jpg"))
        with caplog.at_level(logging.WARNING):
            read = read_dataset(path).dataset
        assert [image.file_name for image in read.images] == ["a.jpg"]
    assert str(tmp_path / "0") not in caplog.text
    assert "1 task has several images in the data (left, right): used left" in caplog.text


def test_boxes_with_several_labels_are_left_out(tmp_path: Path) -> None:
    both = {**region(), "value": {**VALUE, "rectanglelabels": ["dog", "wet"]}}
    path = export(tmp_path, task(1, "a.jpg", region(), region(), both), images=("a.jpg",))
    faults = Faults(path)
    assert len(read_dataset(path, faults=faults).dataset.boxes) == 2
    (fault,) = faults.found
    assert "has several labels (dog, wet)" in fault.detail


def test_predictions_with_scores_make_a_round_trip(tmp_path: Path) -> None:
    images = (Image(1, "a b.jpg", 120, 80), Image(2, "sub/ü?#%.jpg", 120, 80))
    boxes = (Box(1, 1, 2, (12, 20, 36, 60), extra={"score": 0.75}), Box(2, 1, 1, (1, 2, 3, 4)))
    dataset = Dataset(images, boxes, (Category(2, "dog"), Category(1, "cat & <co>")))
    scored = Dataset(images, boxes[:1], dataset.categories)
    for image in images:
        write_image(tmp_path / "pictures" / image.file_name)
    form = load_format("label-studio")
    assert form.losses(dataset) == []
    for name, given in (("both", dataset), ("found", scored)):
        form.write(given, tmp_path / name, images=tmp_path / "pictures")
        tasks = json.loads((tmp_path / name / "tasks.json").read_text())
        prediction = tasks[0]["predictions"][0]
        assert (prediction["score"], prediction["result"][0]["score"]) == (0.75, 0.75)
        assert tasks[0]["data"]["image"] == "/data/local-files/?d=a%20b.jpg"
        # Predictions are read only where nobody annotated.
        read = read_dataset(tmp_path / name)
        assert read.images == tmp_path / name / "images"
        assert [image.file_name for image in read.dataset.images] == [i.file_name for i in images]
    assert objects(read.dataset)["a b.jpg"] == [("dog", pytest.approx(CORNERS))]
    assert read.dataset.boxes[0].extra == {"score": 0.75}
    assert 'value="cat &amp; &lt;co&gt;"' in (tmp_path / "found/labeling_config.xml").read_text()


def test_addresses_hold_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    image = Image(1, os.fsdecode(b"caf\xe9.jpg"), 40, 30)
    load_format("label-studio").write(Dataset((image,), (), ()), tmp_path, images=None)
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    assert task["data"]["image"].endswith("caf%E9.jpg")


@pytest.mark.parametrize(
    "address",
    [
        "https://x.org/photos/a.jpg?token=1&d=4",
        "https://labels.org/ls/data/local-files/?d=photos/a.jpg",
        "/data/local-files?d=photos%2Fa.jpg",
        "s3://bucket/%61.jpg",
    ],
)
def test_only_addresses_of_local_files_have_their_path_in_the_query(
    address: str, tmp_path: Path
) -> None:
    write(tmp_path, "export.json", json.dumps([{"id": 1, "data": {"image": address}}]))
    write_image(tmp_path / "images/a.jpg")
    dataset = read_dataset(tmp_path, format="label-studio").dataset
    assert [image.file_name for image in dataset.images] == ["a.jpg"]


@pytest.mark.parametrize("name", ["a#1.jpg", "a?1.jpg", "a%20b.jpg", "x/a b.jpg"])
@pytest.mark.parametrize("storage", ["s3", "gs", "azure-blob"])
def test_names_in_storages_are_not_quoted(name: str, storage: str, tmp_path: Path) -> None:
    write(tmp_path, "e.json", json.dumps([{"id": 1, "data": {"image": f"{storage}://b/p/{name}"}}]))
    write_image(tmp_path / "images" / name)
    dataset = read_dataset(tmp_path, format="label-studio").dataset
    assert [image.file_name for image in dataset.images] == [name]

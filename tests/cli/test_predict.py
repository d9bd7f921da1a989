"""`sparsedet predict`: from any source to any output."""

import json
import shutil
from pathlib import Path

import cv2
import pytest
from pycocotools.coco import COCO

from sparsedet.annotations import read_upright
from sparsedet.formats import read_dataset
from sparsedet.prediction.detector import Detector
from tests.cli.command import sparsedet, sparsedet_here
from tests.conftest import Scenes
from tests.prediction.random_run import make_random_run

LOW = ("--score", "0.003", "--device", "cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def photos(scenes: Scenes, tmp_path: Path) -> Path:
    """Three photos, one of them in a folder of its own, and what is none."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for image, name in zip(scenes.dataset.images, ["a.png", "b.png", "more/c.png"], strict=False):
        shutil.copy(scenes.images / image.file_name, folder / name)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"no image either")
    return folder


def test_coco_results_of_a_folder_are_read_by_pycocotools(run: Path, photos: Path) -> None:
    result = sparsedet("predict", run, "photos", "-o", "found.json", *LOW, cwd=photos.parent)
    assert result.status == 0, result.err
    assert "detections on 3 images in found.json" in result.out
    truth = COCO(str(photos.parent / "found.images.json"))
    found = truth.loadRes(str(photos.parent / "found.json"))
    names = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
    assert sorted(names) == ["a.png", "b.png", "more/c.png"]
    assert {entry["image_id"] for entry in found.dataset["annotations"]} == set(names.values())
    assert {category["id"] for category in truth.dataset["categories"]} == set(range(3, 13))


def test_without_detections_a_lower_score_is_suggested(run: Path, photos: Path) -> None:
    result = sparsedet_here("predict", run, photos, "-o", photos.parent / "found.json")
    assert result.status == 0, result.err
    assert "0 detections on 3 images" in result.out
    assert "no detection has a score of 0.5 or more: try --score 0.1" in result.err


def test_a_coco_file_keeps_its_ids(run: Path, scenes: Scenes, tmp_path: Path) -> None:
    arguments = (scenes.annotations, "--images", scenes.images, "-o", "found.json")
    result = sparsedet_here("predict", run, *arguments, *LOW, "--json", cwd=tmp_path)
    assert result.json()["images"] == len(scenes.dataset.images)
    entries = json.loads((tmp_path / "found.json").read_text())
    assert {e["image_id"] for e in entries} <= {image.id for image in scenes.dataset.images}


def test_a_coco_file_needs_no_annotations(run: Path, scenes: Scenes, tmp_path: Path) -> None:
    content = json.loads(scenes.annotations.read_text())
    (tmp_path / "test.json").write_text(json.dumps({"images": content["images"]}))
    arguments = ("test.json", "--images", scenes.images, "-o", "found.json")
    result = sparsedet_here("predict", run, *arguments, *LOW, "--json", cwd=tmp_path)
    assert result.json()["images"] == len(scenes.dataset.images)


@pytest.mark.parametrize("format", ["yolo", "voc", "label-studio"])
def test_label_files_are_read_back(run: Path, photos: Path, tmp_path: Path, format: str) -> None:
    results = ("predict", run, photos, "-o", tmp_path / "found.json", *LOW, "--json")
    expected = sparsedet_here(*results).json()["detections"]
    labels = tmp_path / "labels"
    result = sparsedet_here("predict", run, photos, "-o", labels, "--format", format, *LOW)
    assert result.status == 0, result.err
    read = read_dataset(labels, format=format, images=photos).dataset
    assert len(read.boxes) == expected
    again = sparsedet_here("predict", run, photos, "-o", labels, "--format", format, *LOW)
    assert "exists already" in again.error()


def test_images_that_share_a_label_file_are_refused_at_once(
    run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when all detections are made."""
    shutil.copy(photos / "a.png", photos / "a.jpg")
    monkeypatch.setattr(Detector, "predict_all", None)
    for format in ("yolo", "voc"):
        result = sparsedet_here("predict", run, photos, "-o", photos / "x", "--format", format)
        assert "images a.jpg and a.png would share the file a." in result.error()
    monkeypatch.undo()
    tasks = ("-o", photos / "x", "--format", "label-studio")
    assert sparsedet_here("predict", run, photos, *tasks).status == 0


def test_pictures_have_boxes(run: Path, photos: Path, tmp_path: Path) -> None:
    result = sparsedet_here("predict", run, photos / "*.png", "-o", tmp_path / "drawn", *LOW)
    assert result.status == 0, result.err
    drawn = sorted((tmp_path / "drawn").iterdir())
    assert [file.name for file in drawn] == ["a.jpg", "b.jpg"]
    assert read_upright(drawn[0]).std() > 0


def test_a_video_becomes_a_video(run: Path, photos: Path, tmp_path: Path) -> None:
    frame = read_upright(photos / "a.png")
    size = (frame.shape[1], frame.shape[0])
    writer = cv2.VideoWriter(str(tmp_path / "in.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, size)
    for _ in range(3):
        writer.write(frame)
    writer.release()
    result = sparsedet_here("predict", run, "in.avi", "-o", "out.avi", *LOW, cwd=tmp_path)
    assert result.status == 0, result.err
    video = cv2.VideoCapture(str(tmp_path / "out.avi"))
    assert video.get(cv2.CAP_PROP_FPS) == 5.0
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "in.avi",
        "out.avi",
    ]
    results = sparsedet_here("predict", run, "in.avi", "-o", "out.json", *LOW, cwd=tmp_path)
    assert "on 3 images" in results.out


def test_broken_images_are_left_out_with_a_word(run: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "b.png").write_bytes(b"nothing")
    result = sparsedet_here("predict", run, photos, "-o", tmp_path / "found.json", *LOW)
    assert result.status == 0
    assert "on 2 images" in result.out
    assert "b.png" in result.err
    for name in ("a.png", "more/c.png"):
        (photos / name).write_bytes(b"nothing")
    result = sparsedet_here("predict", run, photos, "-o", tmp_path / "again.json", *LOW)
    assert result.status == 1
    assert "3 of 3 images can't be read: " in result.err
    assert "(is the file complete?); repair them" in result.err
    only = sparsedet_here("predict", run, photos / "b.png", "-o", tmp_path / "again.json")
    expected = f"{photos / 'b.png'}: can't be decoded as an image (is the file complete?)"
    assert only.error() == expected
    assert not (tmp_path / "again.json").exists()


def test_no_file_of_the_user_is_overwritten(run: Path, scenes: Scenes, tmp_path: Path) -> None:
    data = tmp_path / "annotations.json"
    shutil.copy(scenes.annotations, data)
    (tmp_path / "clip.avi").write_bytes(b"a video")
    before = data.read_bytes()
    for source, output, says in [
        (data, data, "is the input as well"),
        (scenes.images, data, "already exists and is not a list of COCO results"),
        (tmp_path / "clip.avi", tmp_path / "clip.avi", "is the input as well"),
    ]:
        result = sparsedet_here("predict", run, source, "--images", scenes.images, "-o", output)
        assert says in result.error()
    assert data.read_bytes() == before
    assert (tmp_path / "clip.avi").read_bytes() == b"a video"
    # Older results are replaced, even if there were none.
    image = scenes.images / scenes.dataset.images[0].file_name
    for score in ("0.003", "1.0", "0.003"):
        again = ("predict", run, image, "-o", tmp_path / "found.json", "--score", score)
        assert sparsedet_here(*again).status == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "-o", "f.json"], "nowhere: no such file or folder"),
        (["*.gif", "-o", "f.json"], "no image matches the pattern"),
        (["empty", "-o", "f.json"], "no images in empty"),
        (["a.png", "other/a.png", "-o", "f.json"], "would both be 'a.png'"),
        (["99", "-o", "f.json"], "camera 99: OpenCV can't open it"),
        (["a.png", "notes.json", "-o", "f.json"], "notes.json: a COCO file must be the only input"),
        (["a.png", "-o", "f", "--format", "results"], "one file; use a name"),
        (["a.png", "-o", "f.json", "--format", "yolo"], "folder; use a name without .json"),
        (["a.png", "-o", "f.mp4", "--format", "pictures"], "pictures writes a folder"),
        (["a.png", "-o", "f", "--format", "bmp"], "bmp: expected results, pictures, video, "),
        (["a.png", "-o", "f", "--format", "bmp"], "voc or yolo"),
        (["a.png", "-o", "f.json", "--classes", "cow"], "no class 'cow'"),
        (["a.png", "-o", "other"], "other: exists already"),
    ],
)
def test_what_can_not_be_done_is_one_line(
    run: Path, photos: Path, arguments: list[str], says: str
) -> None:
    (photos / "empty").mkdir()
    (photos / "notes.json").write_text("[]")
    (photos / "other").mkdir()
    shutil.copy(photos / "b.png", photos / "other/a.png")
    assert says in sparsedet_here("predict", run, *arguments, cwd=photos).error()


def test_pictures_do_not_go_among_the_photos(run: Path, photos: Path) -> None:
    for source in (photos, f"{photos}/**/*.png"):
        result = sparsedet_here("predict", run, source, "-o", photos / "drawn", *LOW)
        assert "would detect on the drawn images" in result.error()
    assert not (photos / "drawn").exists()
    # Label files are no images, and hidden folders are not read.
    for output, options in (("labels", ("--format", "yolo")), (".drawn", ())):
        result = sparsedet_here("predict", run, photos, "-o", photos / output, *LOW, *options)
        assert result.status == 0, result.err


def test_the_list_of_images_next_to_results_is_no_input(run: Path, scenes: Scenes) -> None:
    images = scenes.annotations.with_name("found.images.json")
    shutil.copy(scenes.annotations, images)
    result = sparsedet_here("predict", run, images, "-o", images.with_name("found.json"))
    assert "is the input as well" in result.error()
    assert images.read_bytes() == scenes.annotations.read_bytes()
    images.unlink()


@pytest.mark.parametrize(
    ("content", "is_replaced"),
    [
        ('{"images": [], "annotations": [], "categories": []}', True),  # of an interrupted command
        ('{"images": [], "annotations": [{"id": 1}], "categories": []}', False),
        ('{"images": [], "annotations": [], "categories": [], "info": {}}', False),
        ("[]", False),
        ("my notes", False),
    ],
)
def test_what_else_has_the_name_of_the_list_of_images_is_kept(
    content: str, is_replaced: bool, tmp_path: Path
) -> None:
    (listing := tmp_path / "found.images.json").write_text(content)
    (tmp_path / "photos").mkdir()
    result = sparsedet_here(
        "predict", tmp_path / "run", tmp_path / "photos", "-o", "found.json", cwd=tmp_path
    )
    refused = "found.images.json: already exists and is not a list of images" in result.error()
    assert refused is not is_replaced
    assert listing.read_text() == content

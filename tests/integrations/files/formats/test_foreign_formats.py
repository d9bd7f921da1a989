"""Formats that are not read are named, with what to do."""

import json
from pathlib import Path

import pytest

from sparsedet.annotations.faults import Faults
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.formats import detect_format, read_dataset
from sparsedet.loop.data_sources import read_anything
from tests.integrations.files.formats.datasets import write, write_image
from tests.integrations.files.formats.found_files import LINE

SUPERVISELY = {"size": {}, "objects": [{"classTitle": "cat", "points": {"exterior": []}}]}
DATUMARO = {"info": {}, "categories": {"label": {"labels": []}}, "items": []}
DARWIN = {"annotations": [{"name": "cat", "bounding_box": {"x": 1, "y": 2, "w": 3, "h": 4}}]}
BDD = [{"name": "a.jpg", "labels": [{"category": "car", "box2d": {"x1": 1}}]}]
SAMPLES = {"samples": [{"_media_type": "image", "filepath": "data/a.jpg"}]}
DICTS = [{"file_name": "a.jpg", "annotations": [{"bbox": [], "bbox_mode": 0}]}]
VIA_3 = {"project": {"pid": "__VIA_PROJECT_ID__", "vid_list": ["1"]}, "metadata": {}}
TASK = {"id": 1, "annotations": [{"result": [{"from_name": "label"}]}], "data": {"image": "a.jpg"}}
ULTRALYTICS = '{"type": "dataset", "class_names": {"0": "cat"}}\n{"type": "image"}\n'
KITTI = "Car 0.00 0 -1.57 599.41 156.40 629.75 189.25 2.85 2.63 12.34 0.47 1.49 69.44 -1.56\n"
WIDER = "0--Parade/a.jpg\n1\n449 330 122 149 0 0 0 0 0 0 \n"


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("a.csv", "ImageID,Source,LabelName,Confidence\n", "Open Images' labels of whole images"),
        ("a.csv", "id,annotation_id,image,label\n", "a csv of Label Studio"),
        ("a.csv", "filename,region_count,region_shape_attributes\n", "a csv of VIA"),
        ("a.csv", "TRAIN,gs://pets/a.jpg,cat,0.1,0.2,,,0.3,0.4,,\n", "a csv of Google's AutoML"),
        ("export.tsv", "id\tannotation_id\timage\tlabel\n", "a tsv of Label Studio"),
        ("boxes.tsv", "filename\txmin\tymin\n", "a table with tabs"),
        ("ds0/ann/a.jpg.json", json.dumps(SUPERVISELY), "Supervisely's JSON"),
        ("annotations/default.json", json.dumps(DATUMARO), "Datumaro's JSON"),
        ("annotations/a.json", json.dumps(DARWIN), "V7 Darwin's JSON"),
        ("det_train.json", json.dumps(BDD), "BDD100K's JSON"),
        ("samples.json", json.dumps(SAMPLES), "FiftyOne's own format"),
        ("dicts.json", json.dumps(DICTS), "detectron2's list of dicts"),
        ("train/metadata.jsonl", '{"file_name": "a.jpg"}\n', "JSON Lines"),
        ("project.json", json.dumps(VIA_3), "a project of VIA 3"),
        ("task.json", json.dumps(TASK), "a single task of Label Studio"),
        ("coco8.ndjson", ULTRALYTICS, "NDJSON of Ultralytics"),
        ("other.ndjson", '{"a": 1}\n', "JSON Lines"),
        ("export.ndjson", '{"data_row": {"id": "x"}}\n', "Labelbox's JSON"),
        ("training/label_2/000001.txt", KITTI, "KITTI's labels"),
        ("labels/000001.txt", KITTI, "KITTI's labels"),
        ("annotations/a.txt", "684,8,273,116,0,0,0,0\n", "VisDrone's or MOT's labels"),
        ("gt/gt.txt", "1,1,912,484,97,109,0,7,1\n", "VisDrone's or MOT's labels"),
        ("split/train_bbx_gt.txt", WIDER, "WIDER FACE's labels"),
        ("train/_annotations.txt", "a.jpg 1,2,30,40,0 5,6,7,8,1\n", "labels of YOLOv4 for PyTorch"),
        ("train/Cat/Label/a.txt", "Cat 1.0 2.0 30.5 40.0\n", "labels of OIDv4 ToolKit"),
        ("data/train.parquet", "PAR1", "Parquet"),
        ("train/a.tfrecord", "", "TensorFlow's records"),
    ],
)
@pytest.mark.parametrize("has_images", [True, False])
def test_other_formats_are_named(
    has_images: bool, file: str, text: str, name: str, tmp_path: Path
) -> None:
    write(tmp_path, file, text)
    if has_images:
        write_image(tmp_path / "images/a.jpg")
    with pytest.raises(AnnotationError, match=f"looks like {name}.* is not supported; export the"):
        read_dataset(tmp_path, faults=Faults(tmp_path))


@pytest.mark.parametrize(
    ("file", "columns"),
    [
        ("a.csv", "picture,xmin,ymin,xmax,ymax"),
        ("labels/a.csv", "picture,kind,x_1,y_1,x_2,y_2"),
        ("csv/train/a.csv", "img_file;Left;Top;W;H"),
        ("a.csv", "picture,bounding_box,class"),
    ],
)
def test_columns_of_a_csv_are_named(file: str, columns: str, tmp_path: Path) -> None:
    write(tmp_path, file, f"{columns}\n")
    write_image(tmp_path / "images/a.jpg")
    with pytest.raises(AnnotationError, match=r"with unknown columns.*; name them filename, class"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("notes/x.xml", "not a format that sparsedet reads"),
        ("data/export.zip", "no annotations here, but the archive data/export.zip; extract it"),
        ("annotations.json.gz", "no annotations here, but the archive annotations.json.gz"),
        ("train/cat/a.jpg", "images without annotations; pass the file or folder with"),
        ("__MACOSX/labels/a.tfrecord", "not a format that sparsedet reads"),
    ],
)
def test_what_has_no_annotations(file: str, says: str, tmp_path: Path) -> None:
    write(tmp_path, file, "<notes><version>1.1</version>")
    with pytest.raises(AnnotationError, match=says):
        detect_format(tmp_path)


def test_data_in_a_folder_come_before_other_files(tmp_path: Path) -> None:
    write(tmp_path, "export.zip", "PK")
    write(tmp_path, "raw/a.txt", KITTI)
    write(tmp_path, "pets/classes.txt", "dog")
    write(tmp_path, "pets/labels/a.txt", LINE)
    with pytest.raises(AnnotationError, match=r"no annotations here, but in .*pets; pass that"):
        detect_format(tmp_path)


def test_all_folders_with_data_are_named(tmp_path: Path) -> None:
    for number in range(1, 8):
        write(tmp_path, f"task_{number}/annotations.xml", "<annotations></annotations>")
    first = ", ".join(f"{tmp_path}/task_{number}" for number in range(1, 6))
    with pytest.raises(AnnotationError) as error:
        detect_format(tmp_path)
    assert f"no annotations here, but in {first} and 2 more; pass one of" in str(error.value)


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("project.json", json.dumps(VIA_3), "a project of VIA 3"),
        ("task.json", json.dumps(TASK), "a single task of Label Studio"),
        ("coco8.ndjson", ULTRALYTICS, "NDJSON of Ultralytics"),
    ],
)
def test_other_files_are_named(file: str, text: str, name: str, tmp_path: Path) -> None:
    write(tmp_path, file, text)
    for data in (tmp_path / file, tmp_path):
        with pytest.raises(SparseDetError, match=f"looks like {name}"):
            read_anything(data)

"""What a training learns from reviews, what each key does, and what is held out to measure on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.structures import Boxes, pairwise_iou
from detectron2.utils.events import EventStorage

from sparsedet.annotations import Box, Dataset, read_coco, read_image, write_coco
from sparsedet.config.training_config import METHODS, TrainingConfig
from sparsedet.errors import TrainingError
from sparsedet.modeling.checkpoint import build
from sparsedet.modeling.targets import Role
from sparsedet.run_folder import RunFolder
from sparsedet.training.data.loader import batches
from sparsedet.training.data.samples import (
    training_images,
    usable_feedback,
)
from sparsedet.training.engine.stage import Stage, train_stage
from sparsedet.training.engine.train import run_training, start_run
from tests.conftest import Scenes
from tests.modeling.steps import boxes_of, proposals
from tests.training.short_runs import FULL_SIZE, short_config

KEYS = {name: f"SPARSEDET.FEEDBACK.{name}" for name in ("ACCEPTED", "REJECTED", "EXHAUSTIVE")}


def config_of(method: str = "plain", *off: str, iterations: int = 8) -> TrainingConfig:
    keys = (word for key in off for word in (KEYS[key], "False"))
    return short_config(iterations, *FULL_SIZE, *keys, method=method)


def reviewed(scenes: Scenes) -> Dataset:
    """Image 1 with an accepted and a rejected box, exhaustive; image 2 exhaustive and empty."""
    first, *others = (box for box in scenes.dataset.boxes if box.image_id != 2)
    assert first.image_id == 1
    free = Box(1, 1, first.category_id, (4.0, 6.0, 34.0, 46.0))
    images = [replace(image, exhaustive=image.id in (1, 2)) for image in scenes.dataset.images]
    return replace(
        scenes.dataset,
        images=tuple(images),
        boxes=(replace(first, origin="accepted"), *others),
        verified_negatives=(free,),
    )


def roles_by_image(
    scenes: Scenes, dataset: Dataset, config: TrainingConfig
) -> dict[int, list[int]]:
    images = training_images(
        usable_feedback(dataset, config.feedback),
        scenes.images,
        keep_unlabelled=not config.loader.filter_empty_annotations,
    )
    return {image.source.id: image.roles.tolist() for image in images}


@pytest.mark.parametrize("method", METHODS)
def test_what_an_image_teaches_with_every_key_and_without(scenes: Scenes, method: str) -> None:
    dataset = reviewed(scenes)
    labels = [Role.LABEL] * len(dataset.boxes_by_image[1])
    unlabelled: dict[int, list[int]] = {2: []} if method == "end-to-end" else {}

    def taught(*off: str) -> dict[int, list[int]]:
        found = roles_by_image(scenes, dataset, config_of(method, *off))
        return {number: roles for number, roles in found.items() if number in (1, 2)}

    exhaustive = {2: [Role.EXHAUSTIVE]}
    assert taught() == {1: [*labels, Role.VERIFIED_NEGATIVE, Role.EXHAUSTIVE], **exhaustive}
    # Without one of its boxes, image 1 is not exhaustive.
    assert taught("ACCEPTED") == {1: [*labels[1:], Role.VERIFIED_NEGATIVE], **exhaustive}
    assert taught("REJECTED") == {1: [*labels, Role.EXHAUSTIVE], **exhaustive}
    assert taught("EXHAUSTIVE") == {1: [*labels, Role.VERIFIED_NEGATIVE], **unlabelled}
    assert taught(*KEYS) == {1: labels[1:], **unlabelled}


def marked(dataset: Dataset, *classes: int, images: tuple[int, ...] = (1, 2)) -> Dataset:
    """The dataset with complete classes on some images, and no mark of a whole one."""
    return replace(
        dataset,
        images=tuple(
            replace(
                image.unmarked(),
                complete_classes=frozenset(classes if image.id in images else ()),
            )
            for image in dataset.images
        ),
    )


def test_complete_classes_are_rows_of_the_whole_image(scenes: Scenes) -> None:
    """An image without labels stays for what it does not show."""
    given = marked(reviewed(scenes), scenes.dataset.categories[1].id, images=(2,))
    (image,) = (
        image
        for image in training_images(given, scenes.images, keep_unlabelled=False)
        if image.source.id == 2
    )
    assert image.roles.tolist() == [Role.COMPLETE_CLASS]
    assert image.classes.tolist() == [1]
    assert image.boxes.tolist() == [[0, 0, image.source.width, image.source.height]]
    # Of all classes together it is what an exhaustive image is.
    every = [category.id for category in scenes.dataset.categories]
    whole = roles_by_image(scenes, marked(reviewed(scenes), *every), config_of())
    assert whole[2] == [Role.EXHAUSTIVE]


def test_keys_switch_complete_classes_off(scenes: Scenes) -> None:
    dataset = reviewed(scenes)
    accepted = dataset.boxes[0].category_id
    other = next(category.id for category in dataset.categories if category.id != accepted)
    given = marked(dataset, accepted, other)
    labels = [Role.LABEL] * len(dataset.boxes_by_image[1])

    def taught(*off: str) -> list[int]:
        return roles_by_image(scenes, given, config_of("plain", "REJECTED", *off))[1]

    assert taught() == [*labels, Role.COMPLETE_CLASS, Role.COMPLETE_CLASS]
    # The class of the accepted box is not complete without it.
    assert taught("ACCEPTED") == [*labels[1:], Role.COMPLETE_CLASS]
    assert taught("EXHAUSTIVE") == labels


@pytest.mark.parametrize("method", ["plain", "end-to-end"])
def test_training_lowers_an_absent_class_where_there_is_no_label(
    scenes: Scenes, tmp_path: Path, method: str
) -> None:
    """Of objects that all look alike to it, the model learns that they are none of a class here.

    Nothing else may teach it so: the image has no label, and its objects are those of another one.
    """
    labelled, image = scenes.dataset.images[:2]
    boxes = [replace(box, category_id=1) for box in scenes.dataset.boxes_by_image[labelled.id]]
    seen = replace(scenes.dataset.boxes_by_image[image.id][0], category_id=1)
    dataset = scenes.dataset.with_images([labelled, image]).with_boxes(boxes)
    found = []
    for name, given in (("without", dataset), ("absent", marked(dataset, 1, images=(image.id,)))):
        config = config_of(method, iterations=12).with_values({"SOLVER.IMS_PER_BATCH": 2})
        run = RunFolder(tmp_path / name)
        model = build(config.node)
        model.load_state_dict(
            train_stage(
                Stage("only", 0, 12),
                training_images(given, scenes.images, keep_unlabelled=True),
                config,
                run,
                seed=1,
            )
        )
        found.append(probability(model, scenes, config, seen))
    assert found[1] < 0.7 * found[0]


def test_an_image_with_nothing_but_rejections_stays_in_training(scenes: Scenes) -> None:
    boxes = [box for box in scenes.dataset.boxes if box.image_id != 1]
    dataset = replace(reviewed(scenes).with_boxes(boxes), images=scenes.dataset.images)
    assert roles_by_image(scenes, dataset, config_of())[1] == [Role.VERIFIED_NEGATIVE]
    assert 1 not in roles_by_image(scenes, dataset, config_of("plain", "REJECTED"))


def test_rejections_alone_are_nothing_to_train_on(scenes: Scenes) -> None:
    with pytest.raises(TrainingError, match="no image of the training data has an annotation"):
        training_images(reviewed(scenes).with_boxes([]), scenes.images, keep_unlabelled=True)


def test_all_rows_of_an_image_share_its_geometry(scenes: Scenes) -> None:
    config = short_config(8, method="end-to-end")
    images = training_images(reviewed(scenes), scenes.images, keep_unlabelled=True)[:1]
    lefts = set()
    for batch in batches(images, config, seed=1, start=0, end=6):
        for item in batch:
            rows, width = item["instances"], item["image"].shape[2]
            assert rows.gt_boxes.tensor[-1].tolist() == [0, 0, width, item["image"].shape[1]]
            left, top, right, bottom = rows.gt_boxes.tensor[-2].tolist()
            assert (top, bottom) == pytest.approx((3, 23))
            lefts.add((left, right))
    assert lefts == {(2, 17), (width - 17, width - 2)}


def probability(model: Any, scenes: Scenes, config: TrainingConfig, box: Box) -> float:
    """The probability that the model gives to a box's class at the box."""
    image = scenes.dataset.image_by_id[box.image_id]
    given = config.input.at_test().of(read_image(image, scenes.images))
    scale = given["image"].shape[2] / image.width
    with torch.inference_mode():
        features = model.eval().backbone(model.preprocess_image([given]).tensor)
        boxes = Boxes(torch.tensor([box.xyxy]) * scale)
        logits = model.roi_heads.box_predictor(model.roi_heads.box_features(features, [boxes]))[0]
    return float(logits.softmax(dim=1)[0, box.category_id - 1])


@pytest.mark.parametrize("method", ["plain", "end-to-end"])
def test_training_lowers_the_rejected_class_where_it_was_rejected(
    scenes: Scenes, tmp_path: Path, method: str
) -> None:
    """Of objects that all look alike to it, the model learns that one is none.

    Nothing else may teach it so: the object is an ignore region as well as rejected.
    """
    image = scenes.dataset.images[0]
    objects = [replace(box, category_id=1) for box in scenes.dataset.boxes_by_image[image.id]]
    rejected, labels = objects[0], objects[1:]
    dataset = replace(
        scenes.dataset.with_images([image]).with_boxes(labels), verified_negatives=(rejected,)
    )
    found = []
    for off in ((), ("REJECTED",)):
        config = config_of(method, *off, iterations=12).with_values({"SOLVER.IMS_PER_BATCH": 1})
        images = training_images(
            usable_feedback(dataset, config.feedback),
            scenes.images,
            ignored=[replace(rejected, category_id=2)],
            keep_unlabelled=True,
        )
        run = RunFolder(tmp_path / "-".join(("run", *off)))
        model = build(config.node)
        model.load_state_dict(train_stage(Stage("only", 0, 12), images, config, run, seed=1))
        found.append(probability(model, scenes, config, rejected))
    assert found[0] < 0.5 * found[1]


@pytest.mark.parametrize("off", [(), ("ACCEPTED",)])
def test_an_accepted_box_is_an_object_to_the_roi_heads(scenes: Scenes, off: tuple[str]) -> None:
    dataset = reviewed(scenes)
    accepted = dataset.boxes[0]
    config = config_of("plain", *off).with_values(
        {"INPUT.RANDOM_FLIP": "none", "MODEL.WEIGHTS": ""}
    )
    images = training_images(
        usable_feedback(dataset, config.feedback), scenes.images, keep_unlabelled=True
    )
    batch = next(iter(batches(images[:1], config, seed=1, start=0, end=1)))
    heads: Any = build(config.node).train().roi_heads
    with EventStorage():
        sampled = heads.label_and_sample_proposals(
            [proposals([accepted.xyxy])], [batch[0]["instances"]]
        )[0]
    # The proposal, and the box itself where it is a label.
    at_box = pairwise_iou(sampled.proposal_boxes, boxes_of([accepted.xyxy]))[:, 0] > 0.99
    expected = [heads.num_classes] if off else [accepted.category_id - 1] * 2
    assert sampled.gt_classes[at_box].tolist() == expected


def test_a_run_with_every_key_off_is_that_of_the_data_without_feedback(
    scenes: Scenes, tmp_path: Path
) -> None:
    dataset = reviewed(scenes)
    images = tuple(replace(image, exhaustive=False) for image in dataset.images)
    without = replace(dataset, images=images, boxes=dataset.boxes[1:], verified_negatives=())
    off = [word for key in KEYS.values() for word in (key, "False")]
    weights = []
    for name, data, keys in (("off", dataset, off), ("without", without, []), ("on", dataset, [])):
        write_coco(data, tmp_path / f"{name}.json")
        run = RunFolder(tmp_path / name)
        start_run(
            short_config(3, *keys),
            run,
            read_coco(tmp_path / f"{name}.json"),
            scenes.images,
            source=tmp_path / f"{name}.json",
            method="plain",
            seed=1,
            device="cpu",
        )
        run_training(run)
        weights.append(run.model.read_bytes())
    assert weights[0] == weights[1] != weights[2]

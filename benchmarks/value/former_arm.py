"""The former loop: thresholds from scores of annotations; people judge boxes and draw none.

After its rounds, the rest is drawn by hand in file order.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sparsedet.annotations import Box, Dataset
from sparsedet.config.training_config import load_config, read_config
from sparsedet.mining.detect import detect_all
from sparsedet.mining.mine import select
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.reviews import ReviewedRegion
from sparsedet.run_folder import RunFolder, class_ids
from sparsedet.simulation import Behaviour, Reviewer
from sparsedet.training.engine.train import run_training, start_run

from .curves import Curve, regions_of, shown_objects
from .setting import Setting

ROUNDS = 2
QUANTILE = 0.1
"""Quantile of annotations' scores: the former default of rounds."""


def former(setting: Setting, say: Callable[[str], None]) -> Curve:
    """Run the rounds, then draw the rest."""
    curve = setting.curve("former")
    judge = Reviewer(
        setting.full, setting.neutral, replace(Behaviour(), draw_share=0.0), setting.seed
    )
    dataset, undecided = setting.sparse, set[tuple[int, ...]]()
    objects = setting.objects
    for number in range(1, ROUNDS + 1):
        say(f"round {number}: training")
        shown = _mine(setting, dataset, number)
        added: list[Box] = []
        rejected: list[Box] = []
        ids = {category.name: category.id for category in dataset.categories}
        for image_id, mined in shown:
            name = dataset.image_by_id[image_id].file_name
            mined = [(r, s) for r, s in mined if _key(image_id, r) not in undecided]
            if not mined:
                continue
            own = regions_of(dataset, image_id)
            done = judge.review(
                name, [*own, *(r for r, _ in mined)], {r.region_id: s for r, s in mined}
            )
            truth = objects[name]
            curve.add(done.seconds, shown_objects(done.regions, truth) - shown_objects(own, truth))
            left = {region.region_id: region for region in done.regions}
            for region, _ in mined:
                final = left.get(region.region_id)
                if final is None:
                    box = Box(0, image_id, ids[region.category], region.xyxy)
                    rejected.append(box)
                elif final.unsure:
                    undecided.add(_key(image_id, region))
                else:
                    added.append(
                        Box(0, image_id, ids[final.category], final.xyxy, origin="accepted")
                    )
        first = max(box.id for box in dataset.boxes) + 1
        new = [replace(box, id=first + row) for row, box in enumerate(added)]
        dataset = replace(
            dataset,
            boxes=(*dataset.boxes, *new),
            verified_negatives=(
                *dataset.verified_negatives,
                *(replace(box, id=row + 1) for row, box in enumerate(rejected)),
            ),
        )
        say(f"round {number}: {len(added)} accepted, {len(rejected)} rejected")
    for image in dataset.images:
        own, truth = regions_of(dataset, image.id), objects[image.file_name]
        done = setting.reviewer.review(image.file_name, own, {})
        curve.add(done.seconds, shown_objects(done.regions, truth) - shown_objects(own, truth))
    return curve


def _mine(
    setting: Setting, dataset: Dataset, number: int
) -> Sequence[tuple[int, list[tuple[ReviewedRegion, float]]]]:
    """Train, and return each image's mined boxes, the image with the best one first."""
    run = RunFolder(setting.work / f"former-{number}")
    confirmed = ["SPARSEDET.STAGED.MIN_MISSING", "0.0"] if number > 1 else []
    if not run.info_file.exists():
        start_run(
            load_config("lite0_fpn", ["SOLVER.MAX_ITER", str(setting.iterations), *confirmed]),
            run,
            dataset,
            setting.images,
            source=Path("former.json"),
            method="staged",
            seed=setting.seed,
            device="cpu",
        )
    run_training(run, device="cpu")
    config = read_config(run.config).with_values({"SPARSEDET.MINING.QUANTILE": QUANTILE})
    model = build_for_inference(config.node, run.finished_model(), "cpu")
    info = run.info()
    found = detect_all(model, config, dataset.images, setting.images, class_ids(info, dataset))
    names = {category.id: category.name for category in dataset.categories}
    by_image: dict[int, list[tuple[ReviewedRegion, float]]] = {}
    for box in select(found, dataset, config.mining, run_id=info.run_id).mined:
        region = ReviewedRegion(box.region_id, names[box.category_id], box.xyxy)
        by_image.setdefault(box.image_id, []).append((region, box.score))
    return sorted(by_image.items(), key=lambda item: (-max(s for _, s in item[1]), item[0]))


def _key(image_id: int, region: ReviewedRegion) -> tuple[int, ...]:
    """Return a key that groups different rounds' boxes at one position, to 40 pixels."""
    centre = ((region.xyxy[0] + region.xyxy[2]) / 80, (region.xyxy[1] + region.xyxy[3]) / 80)
    return image_id, round(centre[0]), round(centre[1])

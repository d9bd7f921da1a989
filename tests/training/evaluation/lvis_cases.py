"""Small random cases in LVIS's format, and what lvis-api makes of them.

`FIGURES` are those of lvis 0.5.3 of PyPI (numpy 1.23.5, pycocotools 2.0.11), which is not installed
here, since it needs a numpy that is older than ours. To make them again, in an environment that has
these three: `python tests/training/evaluation/lvis_cases.py`.
"""

import json
import random
import tempfile
from pathlib import Path
from typing import Any

CLASSES = 5

FIGURES: dict[str, dict[str, Any]] = {
    "few detections": {
        "AP": 21.223668,
        "AP50": 43.272277,
        "AP75": 15.228666,
        "per_class": {
            "class 1": 8.415842,
            "class 2": 34.288543,
            "class 3": 12.364451,
            "class 4": 23.128713,
            "class 5": 27.920792,
        },
    },
    "others": {
        "AP": 19.05444,
        "AP50": 40.458117,
        "AP75": 12.515867,
        "per_class": {
            "class 1": 28.487677,
            "class 2": 22.241867,
            "class 3": 22.258026,
            "class 4": 22.284632,
            "class 5": 0.0,
        },
    },
    "more images": {
        "AP": 16.265945,
        "AP50": 40.927443,
        "AP75": 10.018052,
        "per_class": {
            "class 1": 15.654325,
            "class 2": 18.043006,
            "class 3": 21.650444,
            "class 4": 14.967465,
            "class 5": 11.014486,
        },
    },
    "more than 300 detections of an image": {
        "AP": 1.247325,
        "AP50": 4.475272,
        "AP75": 1.013018,
        "per_class": {
            "class 1": 4.095736,
            "class 2": 0.0,
            "class 3": 0.431683,
            "class 4": None,
            "class 5": 0.461883,
        },
    },
}


def lvis_case(seed: int, images: int = 8, wrong: int = 3) -> tuple[dict[str, Any], list[Any]]:
    """Return an LVIS file, and detections as a COCO results list.

    Every class is on every image one of four: complete, not exhaustive, absent, or unknown.

    Args:
        seed: of everything that is drawn.
        images: how many.
        wrong: the most detections of a class on an image that lie anywhere.
    """
    rng = random.Random(seed)
    truth: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [
            {"id": number, "name": f"class {number}", "frequency": "f"}
            for number in range(1, CLASSES + 1)
        ],
    }
    detections: list[Any] = []

    def detect(image: int, category: int, box: list[int]) -> None:
        score = round(rng.random(), 3)
        detections.append({"image_id": image, "category_id": category, "bbox": box, "score": score})

    def anywhere() -> list[int]:
        return [rng.randint(0, 140), rng.randint(0, 140), rng.randint(20, 60), rng.randint(20, 60)]

    for image in range(1, images + 1):
        kinds = {
            number: rng.choice(["complete", "in part", "absent", "unknown"])
            for number in range(1, CLASSES + 1)
        }
        truth["images"].append(
            {
                "id": image,
                "file_name": f"{image}.png",
                "width": 220,
                "height": 220,
                "neg_category_ids": [n for n, kind in kinds.items() if kind == "absent"],
                "not_exhaustive_category_ids": [
                    n for n, kind in kinds.items() if kind == "in part"
                ],
            }
        )
        for category, kind in kinds.items():
            for _ in range(rng.randint(1, 3) if kind in ("complete", "in part") else 0):
                _, _, width, height = box = anywhere()
                truth["annotations"].append(
                    {
                        "id": len(truth["annotations"]) + 1,
                        "image_id": image,
                        "category_id": category,
                        "bbox": box,
                        "area": width * height,
                    }
                )
                for _ in range(rng.randint(0, 2)):
                    moved = [rng.randint(-6, 6) for _ in range(4)]
                    detect(image, category, [a + b for a, b in zip(box, moved, strict=True)])
            for _ in range(rng.randint(0, wrong)):
                detect(image, category, anywhere())
    return truth, detections


CASES = {
    "few detections": (0, 8, 3),
    "others": (1, 8, 3),
    "more images": (2, 30, 2),
    "more than 300 detections of an image": (3, 3, 180),
}
"""Name -> arguments of `lvis_case`."""


def _measure(truth: dict[str, Any], detections: list[Any]) -> dict[str, Any]:
    import numpy as np

    np.float = float  # type: ignore[attr-defined]  # lvis 0.5.3 still has this name
    from lvis import LVIS, LVISEval, LVISResults  # type: ignore[import-not-found,unused-ignore]

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "truth.json"
        file.write_text(json.dumps(truth))
        data = LVIS(str(file))
    evaluator = LVISEval(data, LVISResults(data, detections), "bbox")
    evaluator.run()
    precision = evaluator.eval["precision"][..., 0]
    classes = {}
    for row, category in enumerate(truth["categories"]):
        own = precision[:, :, row]
        valid = own[own > -1]
        classes[category["name"]] = round(100 * float(valid.mean()), 6) if valid.size else None
    figures = {name: round(100 * evaluator.results[name], 6) for name in ("AP", "AP50", "AP75")}
    return {**figures, "per_class": classes}


if __name__ == "__main__":
    for name, case in CASES.items():
        print(repr(name), ":", _measure(*lvis_case(*case)), ",")

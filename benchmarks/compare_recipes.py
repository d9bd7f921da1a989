"""The verdicts of `sparsedet compare` on every recipe's output, for a file of COCO's size.

    python benchmarks/compare_recipes.py [--images N] [--boxes N] [--seed N] [--output DIR]

Makes the file (see coco_sized.py), removes boxes with every recipe, and tests each result for all
recipes. Writes the table of p-values and the time of each comparison, without reading files, to
`recipes.md` and `recipes.json` in DIR.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from coco_sized import BOXES, IMAGES, make_coco

from sparsedet.annotations.coco import from_coco
from sparsedet.atomic_io import write_json, write_text
from sparsedet.comparison import Boxes, Comparison, Explanation, compare
from sparsedet.sparsify import load_recipe, recipe_names, remove_boxes

RESULTS = Path(__file__).parent / "results" / "compare"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--boxes", type=int, default=BOXES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    dataset = from_coco(make_coco(options.images, options.boxes, options.seed), source="generated")
    full = Boxes.of(dataset)
    recipes = {name: load_recipe(name) for name in recipe_names()}
    found: dict[str, Comparison] = {}
    seconds: dict[str, float] = {}
    for name, recipe in recipes.items():
        sparse = Boxes.of(remove_boxes(dataset, recipe, options.seed)[0])
        start = time.perf_counter()
        found[name] = compare(full, sparse, list(recipes.values()), seed=options.seed)
        seconds[name] = time.perf_counter() - start
        print(f"{name}: {found[name].conclusion} ({seconds[name]:.1f} s)", flush=True)
    write_json(options.output / "recipes.json", _as_json(options, found, seconds), indent=1)
    write_text(options.output / "recipes.md", _as_markdown(options, found))


def _as_json(
    options: argparse.Namespace, found: dict[str, Comparison], seconds: dict[str, float]
) -> dict[str, Any]:
    return {
        "images": options.images,
        "boxes": options.boxes,
        "seed": options.seed,
        "applied": {
            name: {
                "removed": comparison.total.removed,
                "seconds": round(seconds[name], 2),
                "conclusion": comparison.conclusion,
                "asked": {one["recipe"]: one for one in comparison.as_json()["verdicts"]},
            }
            for name, comparison in found.items()
        },
    }


def _as_markdown(options: argparse.Namespace, found: dict[str, Comparison]) -> str:
    names = list(found)
    lines = [
        f"# Which recipe made the file? {options.images:,} images, {options.boxes:,} boxes",
        "",
        "Generated annotations with COCO's statistics (`benchmarks/compare_recipes.py`, seed "
        f"{options.seed}). One row for each recipe that removed boxes, one column for each that "
        "was asked about; each cell is the p-value, **bold** where the recipe fits, with a "
        "question mark where the file cannot say: a strength or share that does not show is "
        "indistinguishable from none. A recipe is ruled out below 0.01; 0: the file violates what "
        "it guarantees for every image or class.",
        "",
        f"| removed by | {' | '.join(names)} |",
        f"| --- |{' ---: |' * len(names)}",
    ]
    for name, comparison in found.items():
        judged = {one.recipe: one for one in comparison.explanations}
        lines.append(f"| {name} | {' | '.join(_cell(judged[asked]) for asked in names)} |")
    lines += ["", "What speaks most against each recipe that is ruled out by chance alone:", ""]
    for name, comparison in found.items():
        lines += [
            f"- {name}, not {one.recipe}: {one.reason}"
            for one in comparison.explanations
            if one.judgement == "ruled out" and one.p
        ]
    return "\n".join(lines) + "\n"


def _cell(explanation: Explanation) -> str:
    if explanation.judgement == "fits":
        return f"**{explanation.p_text}**"
    return explanation.p_text if explanation.judgement == "ruled out" else f"? {explanation.p_text}"


if __name__ == "__main__":
    main()

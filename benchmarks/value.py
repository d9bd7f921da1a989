"""The value of reviewers' time: completeness against seconds of review, for several workflows.

    python benchmarks/value.py --data DIR --drop 0.7 --seed 1 [--arms ours plain ...]

DIR contains `train.json` (a COCO file with all boxes) and `images/`; the name `digits` stands for
generated scenes, `digit` for 300 of them with one class. A share of the boxes is removed, and a
scripted reviewer restores boxes, at 2 s to open an image, 0.7 s to check a mined box, 2.5 s to
delete or correct one, and 7 s to draw one (extreme clicking, Papadopoulos et al., ICCV 2017).
Objects that the published labels lack, in `unlabelled_train.json`, are neither missing nor wrong.

The arms (see `value/arms.py` and `value/loop_arm.py`):

- `hand`: every image in file order, without a model
- `plain`: boxes of a `plain` detector above a score of 0.5, the image with the best one first
- `cleanlab`: the same boxes, images in the order of cleanlab's overlooked-box score
- `former`: two rounds of the loop before it estimated what is missing: people only judge boxes, the
  image with the best one first; then by hand in file order
- `ours`: rounds of the loop, in files, with budgets of images; the last one up to 99 %
- `auto`: like `ours`, but boxes are judged on contact sheets where nothing is to be drawn
- `sheets`: all mined boxes on contact sheets; nobody draws
- `auto-sample`: like `auto`, with nearly certain boxes accepted by sample
- `sure-first`: like `auto`, without budgets, sure boxes first (`[review] sure_first`)
- `sure-first-sample`: like `sure-first`, with nearly certain boxes accepted by sample
- `random`: the same with images in random order

Each arm writes its curve to `benchmarks/results/value/curves/`; existing ones are kept, and an
interrupted arm resumes. The table and the picture cover all curves.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2 don't affect the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from value.command import main

    main(__doc__)

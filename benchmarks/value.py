"""What reviewers' time buys: completeness against seconds of review, by several ways to work.

    python benchmarks/value.py --data DIR --drop 0.7 --seed 1 [--arms ours plain ...]

DIR holds `train.json` (a COCO file with all boxes) and `images/`; the name `digits` stands for
generated scenes. A share of the boxes is removed; a scripted reviewer gives objects their boxes
again, at 2 s to open an image, 0.7 s to look at a mined box, 2.5 s to delete or correct one, and
7 s to draw one (extreme clicking, Papadopoulos et al., ICCV 2017). Objects that the published
labels lack, in `unlabelled_train.json`, are neither missing nor wrong.

The arms (see `value/arms.py` and `value/loop_arm.py`):

- `hand`: every image in file order, without a model
- `plain`: boxes of a `plain` detector above a score of 0.5, the image with the surest first
- `cleanlab`: the same boxes, images in the order of cleanlab's overlooked-box score
- `former`: two rounds of the loop as it was before it estimated what is missing: people only judge
  boxes, the surest image first; then by hand in file order
- `ours`: rounds of the loop, in files, with budgets of images; the last one up to 99 %
- `auto`: as `ours`, but where nothing is to be drawn boxes are judged on contact sheets
- `sheets`: all mined boxes on contact sheets; nobody draws
- `auto-sample`: as `auto`, and nearly certain boxes are accepted by sample
- `random`: the same with images in random order

Each arm leaves its curve in `benchmarks/results/value/curves/`; those that are there are not made
again, and an interrupted one resumes. The table and the picture are made of all curves.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2 say nothing about the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from value.command import main

    main(__doc__)

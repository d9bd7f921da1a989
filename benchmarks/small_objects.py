"""What `--config auto` gains where objects are small: AP and time against `lite0_fpn`.

    python benchmarks/small_objects.py --data DIR [--scales 1 2 4] [--seeds 1 2] [--drop 0.5]

DIR holds `train.json` and `test.json` (COCO files with all boxes) and `images/`. At scale 2, four
images are cut together to one, at scale 4 sixteen: relative to their image, objects have a half and
a quarter of their size. A share of the training boxes is removed. Both configurations train with
the same seeds for the same number of iterations.

Detections are assigned to the images that the mosaics were made of, and measured there: AP at every
scale is of the same objects. AP of small objects is that of the third of them that is smallest in
its image; detections on others are ignored.

Each cell (data, scale, configuration, seed) leaves a file in
`benchmarks/results/small_objects/cells/`; cells that are there are not trained again. The table is
made of all of them.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2 say nothing about the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from small_objects.command import main

    main(__doc__)

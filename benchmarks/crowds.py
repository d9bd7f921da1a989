"""Recall of crowded objects: those that overlap another of their class by 60 % and more.

    python benchmarks/crowds.py --data DIR --run RUN [--run RUN ...]

DIR holds `test.json` (a COCO file with all boxes) and `images/`; each RUN is a finished training on
its classes. Into each test image groups of its set's objects are pasted, of one class and
overlapping each other, always the same ones for a seed. The groups are crowded by 60 % of the
smaller box; crowded objects of the set itself count as well.

Each run detects with NMS and with soft-NMS (`SPARSEDET.SOFT_NMS`), and the table says for either:
the recall of crowded objects and of the others at IoU 0.5, of all detections and of the surest of
which 80 % are right, and AP with the groups and without. It goes to `benchmarks/results/crowds/`.
"""

import sys
import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2 don't matter to the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from crowds.command import main

    sys.exit(main(__doc__))

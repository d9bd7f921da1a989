"""The cost of the training methods relative to a plain Faster R-CNN: time, inference, memory.

    python benchmarks/speed.py --data DIR

DIR contains `train.json`, `test.json` (COCO files with all boxes) and `images/`. Half of the boxes
are removed; in later stages of `staged` they stand for mined boxes. The models are first trained
for some iterations, so that `end-to-end` finds something to mine.

Steps of all methods take turns in one process, in changing order, so that other load on the machine
affects all alike: a ratio is the median of paired ratios, with its quartiles. Memory is measured on
short runs, each in a separate process; so are steps with one and two threads, and in two processes.
Writes `benchmarks/results/speed/speed.json` and `speed.md`; takes nine minutes on two CPU cores.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2, some of them on import, don't affect the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from speed.measure import main

    main(__doc__)

"""What the training methods cost, as ratios to a plain Faster R-CNN: time, inference, memory.

    python benchmarks/speed.py --data DIR

DIR holds `train.json`, `test.json` (COCO files with all boxes) and `images/`. Half of the boxes are
removed; in later stages of `staged` they stand for mined boxes. The models are trained for some
iterations first, so that `end-to-end` finds something to mine.

Steps of all methods take turns in one process, in changing order, so that other load on the machine
affects all alike: a ratio is the median of paired ratios, with its quartiles. Memory is measured on
short runs, each in a process of its own; so are steps with one and two threads, and in two
processes. Writes `benchmarks/results/speed/speed.json` and `speed.md`; takes nine minutes on two
CPU cores.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2, some of them on import, don't matter to the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from speed.measure import main

    main(__doc__)

"""Coverage of the interval of missing objects, after one round of reviews.

    python benchmarks/intervals.py --data DIR DIR digits [--arm sure-first] [--iterations 150]

Thirty rounds: three datasets, three shares of removed boxes, three recipes (two of them like
annotators: they skip small objects, or crowds), and a second seed of one share. Trainings are
short: a poor model has to know that it is one. A scripted reviewer completes a fifth of the images;
with `--arm sure-first`, as in new workspaces, the whole queue (see `value.py`).

Each round writes a file to `benchmarks/results/intervals/`; existing ones are kept. The table
covers all of them.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2 don't affect the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from value.intervals import main

    main(__doc__)

"""How often the interval of what is missing holds the truth, after one round of reviews.

    python benchmarks/intervals.py --data DIR DIR digits [--iterations 150]

Thirty rounds: three data sets, three shares of removed boxes, three recipes (two of them like
annotators: they skip small objects, or crowds), and a second seed of one share. Trainings are
short: a poor model has to know that it is one. A scripted reviewer completes a fifth of the images.

Each round leaves a file in `benchmarks/results/intervals/`; those that are there are not made
again. The table is made of all.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2 say nothing about the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from value.intervals import main

    main(__doc__)

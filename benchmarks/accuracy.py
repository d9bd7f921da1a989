"""Accuracy of the training methods on sparse labels: paired seeds, equal total iterations.

    python benchmarks/accuracy.py --data DIR [--list | --canary | --again] [--only TEXT]

DIR contains `train.json`, `test.json` (COCO files with all boxes) and `images/`; the name `digits`
stands for generated scenes of handwritten digits. Optional files `unlabelled_train.json` and
`unlabelled_test.json` (COCO results lists) name objects that the published labels lack: figures are
then given both with and without ignoring those of the test images.

The folder's name selects a plan of trainings (see `accuracy/plan.py`). Each is a *cell*: boxes are
removed from the training annotations, a model is trained and evaluated, and the figures are
recorded with the commit of the code in `benchmarks/results/cells/`. Recorded cells are not trained
again, except with `--again`; an interrupted training resumes. Tables and a plot of all cells are
written to `benchmarks/results/accuracy.md`, `.json` and `.png`; `--time-limit 0` writes them
without training.

`--canary` trains one recorded cell of each method again, and reports whether its AP is within the
spread of the recorded ones (see `accuracy/canary.py`), to check code that should not change
figures. Records and tables stay as they are; the exit code is 1 if a cell is outside.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2, some of them on import, don't affect the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from accuracy.command import main

    main(__doc__)

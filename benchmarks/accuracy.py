"""How accurate the training methods are on sparse labels: paired seeds, equal total iterations.

    python benchmarks/accuracy.py --data DIR [--list | --canary | --again] [--only TEXT]

DIR holds `train.json`, `test.json` (COCO files with all boxes) and `images/`; the name `digits`
stands for generated scenes of handwritten digits. Files `unlabelled_train.json` and
`unlabelled_test.json` (COCO results lists), if there, name objects that the published labels lack:
figures are then given without and with those of the test images ignored.

The folder's name chooses a plan of trainings (see `accuracy/plan.py`). Each is a *cell*: boxes are
removed from the training annotations, a model is trained and evaluated, and a record of the figures
and of the commit of the code is kept in `benchmarks/results/cells/`. Recorded cells are not trained
again, except with `--again`; an interrupted training resumes. Tables and a plot of all cells go to
`benchmarks/results/accuracy.md`, `.json` and `.png`; `--time-limit 0` writes them without training.

`--canary` trains one recorded cell of each method again, and says whether its AP lies within the
spread of the recorded ones (see `accuracy/canary.py`): a check of code that should keep figures.
Records and tables stay as they are; the exit code is 1 if one lies outside.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2, some of them on import, don't matter to the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from accuracy.command import main

    main(__doc__)

"""How accurate the training methods are on sparse labels: paired seeds, equal total iterations.

    python benchmarks/accuracy.py --data DIR [--list] [--only TEXT] [--time-limit MINUTES]

DIR holds `train.json`, `test.json` (COCO files with all boxes) and `images/`; the name `digits`
stands for generated scenes of handwritten digits. Files `unlabelled_train.json` and
`unlabelled_test.json` (COCO results lists), if there, name objects that the published labels lack:
figures are then given without and with those of the test images ignored.

Which trainings there are is a plan by the folder's name (see `accuracy/plan.py`). Each is a *cell*:
boxes are removed from the training annotations, a model is trained and evaluated, and the figures
are kept in `benchmarks/results/cells/`. Cells that are there already are not trained again, unless
the code, the configuration or the data have changed since; `same_code.py` tells where a change of
the code changes nothing. An interrupted training goes on where it
stopped. Tables and plot of all cells go to `benchmarks/results/accuracy.md`, `.json` and `.png`;
`--time-limit 0` writes them without training.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2, some of them told on import, say nothing about the
    # figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from accuracy.command import main

    main(__doc__)

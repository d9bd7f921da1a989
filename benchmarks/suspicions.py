"""Detection of wrong labels: planted faults, ranked by sparsedet and by cleanlab's ObjectLab.

    python benchmarks/suspicions.py --data DIR [--seed 1] [--iterations 600]

DIR contains `train.json` (a COCO file) and `images/`; the name `digits` stands for generated
scenes. Planted faults: 5 % of the boxes get another class, 5 % are shifted by a quarter to a half
of their size, 3 % are drawn a second time, up to a tenth off. A detector is trained on these labels
once and run on the same images, and both tools rank all boxes. Prints the area under the
precision-recall curve for each kind of fault and for all. ObjectLab ranks with the run's usual
detections and with low-scored ones; the better area counts.

Faults in the published labels count as right here, for both. Training and detections are kept in
the work folder, so that a second call only ranks. cleanlab has to be installed by hand.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2 don't affect the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from suspicions.command import main

    main(__doc__)

"""The cost of 20,000 tasks with 100,000 boxes: pull, push and a round on a real Label Studio.

    python benchmarks/label_studio.py [--tasks N] [--boxes N] [--work DIR]

Starts the server of `make label-studio` on SQLite, imports the tasks with their annotations in
bulk, and serves one small JPEG (320 x 240, 12 kB) for each as a local file. Then it measures, in
turns, so that other load on the machine affects both sides of a ratio alike:

- `pull` (with cached images, up to the written annotation file) against the server's JSON export
  and its listing of predictions, as raw requests; the first pull, with all images; and a pull after
  the annotations of 1 % of the tasks were changed
- the push of three mined boxes on every image, with a queue of all images and the ledger, against
  plain bulk calls and calls one by one; and a second push that changes nothing
- the memory of each beyond what its process held before: pull and push run in separate processes
- a real round on a smaller project: its seconds without training, mining and the server, as a share
  of a round with 800 iterations, of which 20 are run

Writes `benchmarks/results/label_studio/label_studio.json` and `label_studio.md`. With `--work`, the
server's data and the projects are kept for the next call.
"""

import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2 don't affect the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from label_studio.command import main

    main(__doc__)

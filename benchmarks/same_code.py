"""Do two versions of the code train the same, to the last bit? Then accuracy cells of one are
cells of the other, though the hash of the code has changed.

    python benchmarks/same_code.py --data DIR --commit COMMIT [--variants plain,staged,end-to-end]

Trains a short run of each variant with the code of COMMIT, in a checkout of its own, and with the
code here, on DIR (as for `accuracy.py`) with half of its boxes, and none on every fourth image.
Only where losses, mined boxes and final weights are all the same, and something was mined where the
variant mines (of `end-to-end`: lines of `metrics.json` with a self-supervised loss are counted), it
is noted in `benchmarks/results/same_code.json`. A name of an ablation is a variant, too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from accuracy.data import read_folder
from accuracy.fingerprint import code_hash
from accuracy.plan import ABLATIONS
from accuracy.same_code import Proof, add_proof, difference

from sparsedet.annotations import write_coco
from sparsedet.atomic_io import write_text
from sparsedet.errors import SparseDetError
from sparsedet.training.config.loading import read_config
from sparsedet.training.engine.metrics import read_metrics
from sparsedet.training.engine.steps import stages
from sparsedet.training.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
METHODS = ("plain", "staged", "end-to-end")
# The script is run by both versions: it keeps to what both of them have.
_TRAIN = """
import sys
from pathlib import Path
import sparsedet
from sparsedet.annotations import read_coco
from sparsedet.training.run_folder import RunFolder
from sparsedet.training.config.loading import load_config
from sparsedet.training.engine.train import run_training, start_run
tree, run, data, images, method, *keys = sys.argv[1:]
assert Path(sparsedet.__file__).is_relative_to(tree), sparsedet.__file__
start_run(load_config("lite0_fpn", keys), RunFolder(Path(run)), read_coco(Path(data)), Path(images),
          source=Path(data), method=method, seed=1, device="cpu")
run_training(RunFolder(Path(run)))
"""


def main() -> None:
    """Compare, and note what is the same."""
    options = _options()
    try:
        with _checkout(options.commit) as other, tempfile.TemporaryDirectory() as work:
            codes = (code_hash(other / "sparsedet"), code_hash(ROOT / "sparsedet"))
            print(f"{codes[0]} at {options.commit}, {codes[1]} here")
            for variant in options.variants.split(","):
                _compare(variant, codes, other, Path(work), options)
    except SparseDetError as error:
        sys.exit(f"error: {error}")


def _compare(
    variant: str, codes: tuple[str, str], other: Path, work: Path, options: argparse.Namespace
) -> None:
    ablations = {ablation.name: ablation.overrides for ablation in ABLATIONS}
    method = variant if variant in METHODS else "staged"
    if method != variant and variant not in ablations:
        known = ", ".join([*METHODS, *ablations])
        raise SparseDetError(f"--variants {variant}: expected some of {known}")
    keys = ["SOLVER.MAX_ITER", str(options.iterations), "SPARSEDET.STAGED.MIN_ITER", "1"]
    keys += ablations.get(variant, ())
    data = work / "train.json"
    if not data.exists():
        _write_sparse(options.data, data)
    runs = []
    for tree in (other, ROOT):
        run = RunFolder(work / variant / tree.name)
        arguments = [str(run.root), str(data), str(options.data / "images"), method, *keys]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        # -P: the folder that this is called from comes before PYTHONPATH otherwise.
        command = [sys.executable, "-P", "-W", "ignore", "-c", _TRAIN, str(tree), *arguments]
        if subprocess.run(command, env=environment, check=False).returncode:
            raise SparseDetError(f"{variant}: the training with the code in {tree} failed")
        runs.append(run)
    if (code_hash(other / "sparsedet"), code_hash(ROOT / "sparsedet")) != codes:
        raise SparseDetError(f"{variant}: the code was changed while it trained; call again")
    mined = difference(*runs)
    if isinstance(mined, str):
        print(f"{variant}: not the same: {mined}")
        return
    if method == "end-to-end":
        mined = sum(line.get("distillation_loss", 0) > 0 for line in read_metrics(runs[0].metrics))
    mines = method == "end-to-end" or (
        method == "staged" and len(stages(read_config(runs[0].config))) > 1
    )
    if mines and mined == 0:
        print(f"{variant}: the same, but nothing was mined, which proves too little")
        return
    add_proof(
        Proof(
            method=method,
            variant="" if method == variant else variant,
            codes=codes,
            data=options.data.resolve().name,
            iterations=options.iterations,
            mined=mined,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        options.results,
    )
    counted = "lines with a self-supervised loss" if method == "end-to-end" else "boxes mined"
    print(f"{variant}: the same, {mined} {counted}")


def _write_sparse(folder: Path, target: Path) -> None:
    """Write the training annotations with every second box, and none on every fourth image."""
    train = read_folder(folder).train
    bare = {image.id for image in train.images[::4]}
    boxes = [box for box in train.boxes[::2] if box.image_id not in bare]
    write_coco(train.with_boxes(boxes), target)


@contextmanager
def _checkout(commit: str) -> Iterator[Path]:
    """Yield a folder with the files of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "then"
        git = ["git", "-C", str(ROOT)]
        added = subprocess.run(
            [*git, "worktree", "add", "--detach", "--quiet", str(tree), commit], check=False
        )
        if added.returncode:
            raise SparseDetError(f"--commit {commit}: can't be checked out")
        try:
            # The configurations are a package beside the core in a checkout, and inside of it once
            # installed.
            write_text(tree / "sitecustomize.py", _FIND_PACKAGES.format(tree=str(tree)))
            yield tree
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(tree)], check=False)


_FIND_PACKAGES = """
import importlib.util, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        head, _, tail = name.partition("sparsedet.")
        if head or tail not in ("configs", "splits", "cli", "integrations"):
            return None
        folder = {tree!r} + "/" + tail
        return importlib.util.spec_from_file_location(
            name, folder + "/__init__.py", submodule_search_locations=[folder])
sys.meta_path.insert(0, Finder)
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--commit", required=True, help="whose code to compare with")
    parser.add_argument("--variants", default=",".join(METHODS))
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    return parser.parse_args()


if __name__ == "__main__":
    main()

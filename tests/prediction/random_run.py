"""An untrained model that detects something everywhere."""

from pathlib import Path

from sparsedet.atomic_io import write_text
from sparsedet.modeling import checkpoint
from sparsedet.run_folder import RunFolder, RunInfo
from tests.training.short_runs import untrained_model


def make_random_run(root: Path) -> Path:
    """Write the run folder `root`; the ids of its ten classes are 3, 4, ... 12."""
    folder = RunFolder(root)
    model, config = untrained_model()
    classes = [(number + 3, str(number)) for number in range(10)]
    info = RunInfo("run-1", "plain", 1, "train.json", "images", classes, "0")
    checkpoint.save({"model": model.state_dict(), checkpoint.CLASSES: info.names}, folder.model)
    write_text(folder.config, config.dump())
    folder.write_info(info)
    return root

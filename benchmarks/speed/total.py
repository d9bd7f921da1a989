"""What a whole training takes, from the times of its steps and of mining."""

from collections.abc import Mapping
from statistics import median

from detectron2.config import CfgNode

from sparsedet.training.stages import stages

from .training import BEFORE_MINING, LATER_STAGE, MINING, PLAIN, STAGE_1


def total_seconds(
    seconds: Mapping[str, list[float]], cfg: CfgNode, *, images: int, mining: float
) -> dict[str, float]:
    """Return the seconds of a training by method, without start and checkpoints.

    Args:
        seconds: of steps, by variant.
        cfg: the configuration of `staged`.
        images: how many there are to mine.
        mining: seconds of mining one image.
    """
    step = {name: median(values) for name, values in seconds.items()}
    iterations = cfg.SOLVER.MAX_ITER
    first, *later = (stage.end - stage.start for stage in stages(cfg))
    before = iterations // 2
    return {
        "plain": iterations * step[PLAIN],
        "staged": first * step[STAGE_1]
        + sum(later) * step[LATER_STAGE]
        + len(later) * images * mining,
        "end-to-end": before * step[BEFORE_MINING] + (iterations - before) * step[MINING],
    }

"""What a whole training takes, from the times of its steps and of mining."""

from collections.abc import Mapping
from statistics import median

from detectron2.config import CfgNode

from sparsedet.training.engine.steps import stages

from .parts import PARTS, STAGES, Part
from .trainer import configuration
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
    before = iterations // 2
    return {
        "plain": iterations * step[PLAIN],
        "staged": staged_seconds(
            step[STAGE_1], step[LATER_STAGE], cfg, images=images, mining=mining
        ),
        "end-to-end": before * step[BEFORE_MINING] + (iterations - before) * step[MINING],
    }


def staged_seconds(
    first_step: float, later_step: float, cfg: CfgNode, *, images: int, mining: float
) -> float:
    """Return the seconds of a training that mines between its stages.

    Args:
        first_step: seconds of a step in the first stage.
        later_step: seconds of a step in the others.
        cfg: the configuration.
        images: how many there are to mine.
        mining: seconds of mining one image.
    """
    first, *later = (stage.end - stage.start for stage in stages(cfg))
    return first * first_step + sum(later) * later_step + len(later) * images * mining


def part_costs(
    seconds: Mapping[str, list[float]], *, classes: int, images: int, mining: float
) -> dict[str, float]:
    """Return by part how many times as long the default training takes as the one without it.

    Args:
        seconds: of steps, by variant; those of a part as it calls them.
        classes: how many the model has.
        images: how many there are to mine.
        mining: seconds of mining one image.
    """
    step = {name: median(values) for name, values in seconds.items()}

    def total(part: Part) -> float:
        first, later = (step[part.steps(stage)] for stage in STAGES)
        cfg = configuration("staged", classes, part.overrides)
        return staged_seconds(first, later, cfg, images=images, mining=mining)

    whole = total(Part("", ()))
    return {part.name: whole / total(part) for part in PARTS}

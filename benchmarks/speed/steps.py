"""Seconds of training steps, with methods in turns, and of whole trainings computed from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from torch import nn

from sparsedet.config.training_config import TrainingConfig
from sparsedet.modeling.timm_backbone import TimmBackbone
from sparsedet.training.engine.steps import stages

from .timed_training import SpeedData, TimedTraining, configuration, turns

PLAIN = "plain"
STAGE_1 = "staged, stage 1"
LATER_STAGE = "staged, later stage"
BEFORE_MINING = "end-to-end, before mining"
MINING = "end-to-end, while mining"
CONTIGUOUS = "plain, contiguous"
ALL_TRAINED = "plain, no stage frozen"
STAGES = ("stage 1", "later stage")


@dataclass(frozen=True)
class Part:
    """`staged` without one of its parts: an ablation of the accuracy benchmark."""

    name: str
    overrides: tuple[str, ...]
    """KEY VALUE pairs."""
    stages: tuple[str, ...] = ()
    """Stages whose step time depends on the part."""

    def steps(self, stage: str) -> str:
        """Return the name of its steps in a stage: that of `staged` if they are the same."""
        return f"{self.name}, {stage}" if stage in self.stages else f"staged, {stage}"


PARTS = (
    Part("nothing mined", ("SPARSEDET.STAGED.MINE_AT", "()")),
    Part("mined once", ("SPARSEDET.STAGED.MINE_AT", "(0.5,)")),
    Part("no mined labels", ("SPARSEDET.STAGED.LABELS", "False"), STAGES[1:]),
    Part("nothing ignored", ("SPARSEDET.STAGED.IGNORED", "False"), STAGES[1:]),
    Part("without pasting", ("SPARSEDET.STAGED.PASTES", "0"), STAGES),
    Part("without zoom", ("SPARSEDET.STAGED.ZOOM_SHARE", "0.0"), STAGES),
)


@dataclass(frozen=True)
class StepTimes:
    """The seconds of the steps of every variant, by round."""

    seconds: Mapping[str, list[float]]
    mining_steps: int
    """Steps of `MINING` that found pseudo-positives."""
    frozen_parameters: int
    """Parameters of frozen stages in `PLAIN`."""
    frozen_gradients: int
    """Number of these with a gradient after the steps."""


class Training:
    """A trainer per variant, all starting from weights trained for some steps."""

    def __init__(self, data: SpeedData, warm_up: int, say: Callable[[str], None]) -> None:
        classes = len(data.train.categories)

        def trainer(method: str, *overrides: str, mined: bool = False) -> TimedTraining:
            config = configuration(method, classes, overrides)
            return TimedTraining(config, data.training_images(config, mined=mined))

        self.plain, self.end_to_end = trainer("plain"), trainer("end-to-end")
        for number in range(warm_up):
            say(f"warm-up, step {number + 1} of {warm_up}")
            self.plain.step(0)
            self.end_to_end.step(0)
        followers = {
            STAGE_1: trainer("staged"),
            LATER_STAGE: trainer("staged", mined=True),
            CONTIGUOUS: trainer("plain", "MODEL.CHANNELS_LAST", "False"),
            ALL_TRAINED: trainer("plain", "MODEL.TIMM.FREEZE_THROUGH", ""),
            **{
                part.steps(stage): trainer("staged", *part.overrides, mined=stage != "stage 1")
                for part in PARTS
                for stage in part.stages
            },
        }
        for follower in followers.values():
            follower.model.load_state_dict(self.plain.model.state_dict())
        self.trainers = {PLAIN: self.plain, **followers, BEFORE_MINING: self.end_to_end}
        for one in self.trainers.values():
            one.fill_cache()

    def measure(self, rounds: int, say: Callable[[str], None]) -> StepTimes:
        """Time a step of every variant in each round, after two warm-up rounds."""
        names = [*self.trainers, MINING]
        seconds: dict[str, list[float]] = {name: [] for name in names}
        mining_steps = 0
        for number in range(-2, rounds):
            say(f"training steps, round {number + 1} of {rounds}")
            for name in turns(names, number + 2):
                mining = name == MINING
                trainer = self.trainers[BEFORE_MINING if mining else name]
                taken = trainer.step(trainer.config.solver.max_iter if mining else 0)
                if number >= 0:
                    seconds[name].append(taken)
                    mining_steps += mining and trainer.losses["distillation_loss"] > 0
        frozen = [
            parameter
            for parameter in _bottom_up(self.plain).parameters()
            if not parameter.requires_grad
        ]
        return StepTimes(
            seconds,
            mining_steps=mining_steps,
            frozen_parameters=len(frozen),
            frozen_gradients=sum(parameter.grad is not None for parameter in frozen),
        )


def _bottom_up(trainer: TimedTraining) -> nn.Module:
    bottom_up = trainer.model.get_submodule("backbone.bottom_up")
    assert isinstance(bottom_up, TimmBackbone)
    return bottom_up


def total_seconds(
    seconds: Mapping[str, list[float]], config: TrainingConfig, *, mining: float
) -> dict[str, float]:
    """Return the seconds of a training by method, without startup and checkpoints.

    Args:
        seconds: of steps, by variant.
        config: the configuration of `staged`.
        mining: seconds of mining all training images once.
    """
    step = {name: median(values) for name, values in seconds.items()}
    iterations = config.solver.max_iter
    before = iterations // 2
    return {
        "plain": iterations * step[PLAIN],
        "staged": _staged_seconds(step[STAGE_1], step[LATER_STAGE], config, mining),
        "end-to-end": before * step[BEFORE_MINING] + (iterations - before) * step[MINING],
    }


def _staged_seconds(
    first_step: float, later_step: float, config: TrainingConfig, mining: float
) -> float:
    parts = stages(config.staged, config.solver.max_iter)
    first, *later = (stage.end - stage.start for stage in parts)
    return first * first_step + sum(later) * later_step + len(later) * mining


def part_costs(
    seconds: Mapping[str, list[float]], *, classes: int, mining: float
) -> dict[str, float]:
    """Return, for each part, the time of `staged` with the part relative to without it.

    Args:
        seconds: of steps, by variant; those of a part by the names from the part.
        classes: number of classes.
        mining: seconds of mining all training images once.
    """
    step = {name: median(values) for name, values in seconds.items()}

    def total(part: Part) -> float:
        first, later = (step[part.steps(stage)] for stage in STAGES)
        config = configuration("staged", classes, part.overrides)
        return _staged_seconds(first, later, config, mining)

    whole = total(Part("", ()))
    return {part.name: whole / total(part) for part in PARTS}

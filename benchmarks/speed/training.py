"""The seconds of training steps, methods taking turns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from sparsedet.modeling.timm_backbone import TimmBackbone

from .data import SpeedData
from .parts import PARTS
from .ratio import turns
from .trainer import TimedTraining, configuration

PLAIN = "plain"
STAGE_1 = "staged, stage 1"
LATER_STAGE = "staged, later stage"
BEFORE_MINING = "end-to-end, before mining"
MINING = "end-to-end, while mining"
CONTIGUOUS = "plain, contiguous"
ALL_TRAINED = "plain, no stage frozen"


@dataclass(frozen=True)
class StepTimes:
    """Of every variant, the seconds of its steps by round."""

    seconds: Mapping[str, list[float]]
    mining_steps: int
    """Steps of `MINING` that found pseudo-positives."""
    frozen_parameters: int
    """Of `PLAIN`: parameters of frozen stages."""
    frozen_gradients: int
    """Frozen parameters with a gradient after the steps."""


class Training:
    """One trainer per variant, trained for a while."""

    def __init__(self, data: SpeedData, warm_up: int, say: Callable[[str], None]) -> None:
        classes = len(data.train.categories)

        def trainer(method: str, *overrides: str, mined: bool = False) -> TimedTraining:
            cfg = configuration(method, classes, overrides)
            return TimedTraining(cfg, data.training_images(cfg, mined=mined))

        self.plain, self.end_to_end = trainer("plain"), trainer("end-to-end")
        for number in range(warm_up):
            say(f"training first, {number + 1} of {warm_up}")
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
        """Take one step of every variant per round, after two rounds that don't count."""
        names = [*self.trainers, MINING]
        seconds: dict[str, list[float]] = {name: [] for name in names}
        mining_steps = 0
        for number in range(-2, rounds):
            say(f"training steps, round {number + 1} of {rounds}")
            for name in turns(names, number + 2):
                mining = name == MINING
                trainer = self.trainers[BEFORE_MINING if mining else name]
                taken = trainer.step(trainer.cfg.SOLVER.MAX_ITER if mining else 0)
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

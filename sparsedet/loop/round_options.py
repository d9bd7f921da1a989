"""Options of `sparsedet round` that override settings for one round; stored with the round."""

from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Any, get_args

from sparsedet.atomic_io import write_json
from sparsedet.config.training_config import load_config, read_config
from sparsedet.errors import ConfigError
from sparsedet.loop.reviews import Say
from sparsedet.loop.round_files import read_given_options
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.settings import Settings, TrainingSettings
from sparsedet.wording import one_of


@dataclass(frozen=True, slots=True)
class RoundOptions:
    """Overrides the settings where not None.

    Raises:
        ConfigError: for a value that is invalid in the settings too.
    """

    iterations: int | None = None
    device: str | None = None
    method: str | None = None
    minutes: float | None = None
    """Of training; instead of `iterations`."""

    def __post_init__(self) -> None:
        if self.minutes is not None:
            if self.iterations is not None:
                raise ConfigError("--minutes chooses the iterations; leave --iterations out")
            if not 0 < self.minutes < inf:
                raise ConfigError(f"--minutes {self.minutes:g}: expected a number above 0")
        for name in ("device", "method"):
            value = getattr(self, name)
            known = get_args(TrainingSettings.model_fields[name].annotation)
            if value is not None and value not in known:
                raise ConfigError(f"--{name} {value}: expected {one_of(known)}")

    def __str__(self) -> str:
        given = self.given().items()
        return " ".join(
            f"--{name} {f'{value:g}' if isinstance(value, float) else value}"
            for name, value in given
        )

    def given(self) -> dict[str, Any]:
        """Return the options that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def only(self, *names: str) -> "RoundOptions":
        """Return only these options; iterations and minutes belong together."""
        if _LENGTHS.intersection(names):
            names = (*_LENGTHS, *(name for name in names if name not in _LENGTHS))
        return RoundOptions(**{name: getattr(self, name) for name in names})

    def before(self, others: "RoundOptions") -> "RoundOptions":
        """Return these options, with `others` for those that are None."""
        own = self.given()
        kept = {
            name: value
            for name, value in others.given().items()
            # Only one of the two counts.
            if not (name in _LENGTHS and own.keys() & _LENGTHS)
        }
        return RoundOptions(**(kept | own))

    def applied(self, settings: Settings) -> Settings:
        """Return the settings of the round."""
        given = self.given()
        keys = dict(settings.training.keys)
        if (iterations := given.pop("iterations", None)) is not None:
            keys["SOLVER.MAX_ITER"] = iterations
            given["minutes"] = 0.0
        training = settings.training.model_copy(update={**given, "keys": keys})
        return settings.model_copy(update={"training": training})


NO_OPTIONS = RoundOptions()
_LENGTHS = frozenset({"iterations", "minutes"})
"""The two ways to say how long."""


def read_options(folder: RoundFolder) -> RoundOptions:
    """Return the options that a round began with."""
    return RoundOptions(**read_given_options(folder))


def write_options(options: RoundOptions, folder: RoundFolder) -> None:
    """Store a round's options, if it has any."""
    if options.given() or folder.options.exists():
        write_json(folder.options, options.given())


def options_of(
    folder: RoundFolder, given: RoundOptions, settings: Settings, say: Say
) -> RoundOptions:
    """Return the options of a round that is running, or about to begin.

    They are those it began with, overridden by the given ones. Once training has begun, method and
    length are fixed; it can resume on another device.

    Args:
        folder: the round's folder.
        given: options of this call.
        settings: the workspace's settings.
        say: receives a line if a given option differs from what the round began with.
    """
    known = read_options(folder)
    if not given.given() or not folder.root.exists():
        return given.before(known)
    began = _began(folder, known.applied(settings).training)
    changed = [f.name for f in fields(given) if getattr(given, f.name) is not None]
    changed = [name for name in changed if getattr(given, name) != getattr(began, name)]
    stays = [name for name in changed if name != "device"] if folder.run.info_file.exists() else []
    takes = [name for name in changed if name not in stays]
    if stays:
        say(
            f"round {folder.number} began with {began.only(*stays)}, not {given.only(*stays)}, and "
            "keeps it; --restart starts it over"
        )
    if takes:
        say(
            f"round {folder.number} began with {began.only(*takes)}; it continues with "
            f"{given.only(*takes)}"
        )
    fixed = (
        ("device",)
        if folder.run.info_file.exists()
        else ("iterations", "device", "method", "minutes")
    )
    return given.only(*fixed).before(known)


def _began(folder: RoundFolder, training: TrainingSettings) -> RoundOptions:
    """Return a round's initial options: from its run if there is one, else from the settings."""
    minutes = training.minutes or None
    if folder.run.info_file.exists():
        iterations = read_config(folder.run.config).solver.max_iter
        method = folder.run.info().method
    else:
        iterations = load_config(training.config, training.overrides()).solver.max_iter
        method = training.method
    return RoundOptions(
        iterations=None if minutes else iterations,
        device=training.device,
        method=method,
        minutes=minutes,
    )

"""Errors that a user can cause and fix.

Each message says what is wrong, where, and what to do; the command line prints it as one line and
exits with status 1. Any other exception is a bug in sparsedet and keeps its traceback.
"""


class SparseDetError(Exception):
    """Base of all errors that are shown to the user as one line."""


class AnnotationError(SparseDetError):
    """An annotation file, or an image that belongs to it, is broken."""


class UnreadableImageError(AnnotationError):
    """A file exists, but is not a readable image."""


class TooManyPixelsError(UnreadableImageError):
    """An image is too large to decode."""

    def __init__(self, message: str, width: int, height: int) -> None:
        super().__init__(message)
        self.width = width
        self.height = height


class RecipeError(SparseDetError):
    """A removal recipe is unknown, malformed, or can't be applied."""


class ConfigError(SparseDetError):
    """A training configuration or one of its keys is wrong."""


class RunError(SparseDetError):
    """A run folder is missing something, belongs to another run, or would be overwritten."""


class StoppedRunError(RunError):
    """A training was interrupted and resumes when the command is repeated.

    Its message ends where the command line adds how, since each command resumes in its own way.
    """


class TrainingError(SparseDetError):
    """Training can't start or can't continue."""


class PredictionError(SparseDetError):
    """The input of a detector is not an image, or a request exceeds the model."""


class ExportError(SparseDetError):
    """A model can't be exported for another runtime."""


class ToolError(SparseDetError):
    """An annotation tool is unreachable, refused a request, or returned something unexpected."""


class NotConfiguredError(ToolError):
    """The environment names no server; the message says how to name one."""


class ControlNeededError(ToolError):
    """A project has several controls for boxes, and none is selected."""

    def __init__(self, message: str, names: tuple[str, ...]) -> None:
        super().__init__(message)
        self.names = names
        """Names of the controls."""


class PlaceGoneError(ToolError):
    """The review project was deleted."""


class PlaceAwayError(ToolError):
    """The review project is missing, but may come back, as a folder on an unmounted drive."""


class SetupError(SparseDetError):
    """A required package or program is not installed."""


class WorkspaceBusyError(SparseDetError):
    """Another process is working in the workspace."""

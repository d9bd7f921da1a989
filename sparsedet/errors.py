"""The errors that a user can cause and fix.

Every message says what is wrong, where, and what to do; the command line prints it as one line and
exits with status 1. Anything else that is raised is a bug in sparsedet and keeps its traceback.
"""


class SparseDetError(Exception):
    """Base of all errors that are shown to the user as one line."""


class AnnotationError(SparseDetError):
    """An annotation file, or an image that belongs to it, is broken."""


class UnreadableImageError(AnnotationError):
    """A file is there, but no image that can be read."""


class TooManyPixelsError(UnreadableImageError):
    """An image is larger than what can be decoded."""

    def __init__(self, message: str, width: int, height: int) -> None:
        super().__init__(message)
        self.width = width
        self.height = height


class RecipeError(SparseDetError):
    """A removal recipe is unknown, malformed, or can't be met."""


class ConfigError(SparseDetError):
    """A training configuration or one of its keys is wrong."""


class RunError(SparseDetError):
    """A run folder is missing something, belongs to another run, or would be overwritten."""


class StoppedRunError(RunError):
    """A training stopped that resumes when the command is given again.

    Its message ends where the command line says how, since each command resumes in its own way.
    """


class TrainingError(SparseDetError):
    """Training can't start or can't continue."""


class PredictionError(SparseDetError):
    """What a detector is to be used on is no image, or asks for what the model lacks."""


class ExportError(SparseDetError):
    """A model can't be written for another runtime."""


class ToolError(SparseDetError):
    """An annotation tool is unreachable, refused a request, or holds something unexpected."""


class ControlNeededError(ToolError):
    """A project has several controls for boxes, and none is named."""

    def __init__(self, message: str, names: tuple[str, ...]) -> None:
        super().__init__(message)
        self.names = names
        """Of the controls."""


class PlaceGoneError(ToolError):
    """The project in which boxes were reviewed was deleted."""


class SetupError(SparseDetError):
    """Something that sparsedet needs is not installed."""


class WorkspaceBusyError(SparseDetError):
    """Another process is working in the workspace."""

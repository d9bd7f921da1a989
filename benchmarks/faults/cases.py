"""The operations, and the faults that hit them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .proxy import Kind

MODEL_VERSION = "faults"

_PUSH = ("push", "{mined}", "--data", "{workspace}", "--model-version", MODEL_VERSION, "--json")
_MERGE = ("review", "{workspace}", "--merge", "--write", "--json")
_UNDO = ("push", "--undo", "--data", "{workspace}", "--json")

Name = Literal["push", "push-again", "draft", "merge", "undo", "undo-draft"]


@dataclass(frozen=True)
class Operation:
    """A command that writes to the server, and the preceding steps in its workspace."""

    name: Name
    arguments: Sequence[str]
    """Arguments of `sparsedet`; `{workspace}` and `{mined}` stand for paths."""
    drafts: bool = False
    """Whether the workspace is in draft mode."""
    pushed: bool = False
    """Whether mined boxes are up for review already."""
    reviews: int = 0
    """Number of images reviewed since."""


OPERATIONS: dict[Name, Operation] = {
    operation.name: operation
    for operation in (
        Operation("push", _PUSH),
        Operation("push-again", _PUSH, pushed=True),
        Operation("draft", _PUSH, drafts=True),
        Operation("merge", _MERGE, pushed=True, reviews=10),
        Operation("undo", _UNDO, pushed=True, reviews=4),
        Operation("undo-draft", _UNDO, drafts=True, pushed=True),
    )
}


@dataclass(frozen=True)
class Fault:
    """A fault that hits one request of an operation."""

    operation: Name
    kind: Kind
    number: int
    """Number of the request, from 1, among those of its kind."""
    of_reads: bool = False

    @property
    def key(self) -> str:
        """The argument of `--only`, including the request."""
        sort = "read" if self.of_reads else "write"
        return f"{self.kind}/{self.operation}/{sort}-{self.number}"


# A push creates the review project (1), its tasks (2) and predictions (3), shows them (4), and adds
# a view (5).
_OF_PUSH = (
    Fault("push", "cut-before", 1),
    Fault("push", "cut-half", 2),
    Fault("push", "cut-after", 1),
    Fault("push", "cut-after", 2),
    Fault("push", "cut-after", 3),
    Fault("push", "500", 3),
    Fault("push", "503", 5, of_reads=True),
    Fault("push", "502-after", 1),
    Fault("push", "502-after", 3),
    Fault("push", "time-out", 2),
    Fault("push", "time-out", 3),
    Fault("push", "late-during", 1),
    Fault("push", "late-during", 2),
    Fault("push", "late-during", 3),
    Fault("push", "late-after", 1),
    Fault("push", "late-after", 2),
    Fault("push", "late-after", 3),
    Fault("push", "kill-client", 2),
    Fault("push", "kill-client", 5),
    Fault("push", "kill-server", 3),
)

# With more boxes on some images: new tasks (1) and predictions (2), then the replaced ones are
# deleted (3 to 5).
_OF_PUSH_AGAIN = (
    Fault("push-again", "cut-after", 2),
    Fault("push-again", "500", 4),
    Fault("push-again", "late-during", 2),
    Fault("push-again", "late-during", 4),
    Fault("push-again", "kill-client", 3),
)

# One request per annotated image (1 to 8), then predictions for the others (9), and a view.
_OF_DRAFT = (
    Fault("draft", "cut-before", 2),
    Fault("draft", "cut-half", 3),
    Fault("draft", "cut-after", 4),
    Fault("draft", "429", 5),
    Fault("draft", "503", 8, of_reads=True),
    Fault("draft", "502-after", 9),
    Fault("draft", "time-out", 6),
    Fault("draft", "late-during", 1),
    Fault("draft", "late-after", 9),
    Fault("draft", "person-saves", 3),
    Fault("draft", "person-saves", 8),
    Fault("draft", "kill-client", 7),
    Fault("draft", "kill-server", 2),
)

# One request per image that changes; the fourth and the eighth image had no annotation.
_OF_MERGE = (
    Fault("merge", "cut-before", 1),
    Fault("merge", "cut-half", 2),
    Fault("merge", "cut-after", 4),
    Fault("merge", "cut-after", 9, of_reads=True),
    Fault("merge", "500", 5),
    Fault("merge", "502-after", 3),
    Fault("merge", "time-out", 6),
    Fault("merge", "late-during", 4),
    Fault("merge", "late-after", 3),
    Fault("merge", "person-saves", 2),
    Fault("merge", "person-saves", 8),
    Fault("merge", "kill-client", 5),
    Fault("merge", "kill-server", 7),
)

# Predictions are deleted (1 to 6), tasks (7, 8) and a view (9); drafts (2 to 8) and predictions.
_OF_UNDO = (
    Fault("undo", "cut-before", 7),
    Fault("undo", "cut-after", 8),
    Fault("undo", "429", 7),
    Fault("undo", "502-after", 9),
    Fault("undo", "late-after", 7),
    Fault("undo", "kill-client", 4),
    Fault("undo", "kill-server", 7),
    Fault("undo-draft", "time-out", 3),
    Fault("undo-draft", "kill-client", 9),
)

FAULTS: tuple[Fault, ...] = (*_OF_PUSH, *_OF_PUSH_AGAIN, *_OF_DRAFT, *_OF_MERGE, *_OF_UNDO)

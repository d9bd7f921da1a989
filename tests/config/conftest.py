"""The scenes that trainings are tested on."""

from tests.training.conftest import scenes

__all__ = ["scenes"]

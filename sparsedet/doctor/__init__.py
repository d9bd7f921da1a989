"""`sparsedet doctor`: what is installed and works, and how to fix the rest."""

from sparsedet.doctor.checks import Check, State, check_setup
from sparsedet.doctor.detectron2_wheel import install_detectron2

__all__ = ["Check", "State", "check_setup", "install_detectron2"]

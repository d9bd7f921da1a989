"""A scripted reviewer who knows every object: plays the person in demos, tests and benchmarks."""

from sparsedet.annotations.image_names import match_file_names
from sparsedet.simulation.play import SimulationReport, simulate_reviews
from sparsedet.simulation.reviewer import Behaviour, Review, Reviewer
from sparsedet.simulation.truth import TrueObject, read_neutral, true_objects

__all__ = [
    "Behaviour",
    "Review",
    "Reviewer",
    "SimulationReport",
    "TrueObject",
    "match_file_names",
    "read_neutral",
    "simulate_reviews",
    "true_objects",
]

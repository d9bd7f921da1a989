"""A scripted reviewer with full truth: plays the person in demos, tests and benchmarks."""

from sparsedet.simulation.play import PlannedReviews, SimulationReport, plan_reviews
from sparsedet.simulation.reviewer import Behaviour, Reviewer
from sparsedet.simulation.truth import TrueObject, read_neutral, true_objects

__all__ = [
    "Behaviour",
    "PlannedReviews",
    "Reviewer",
    "SimulationReport",
    "TrueObject",
    "plan_reviews",
    "read_neutral",
    "true_objects",
]

"""Verdicts in order, for either way to take absent images, and what they come to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sparsedet.comparison.explanations import Judgement, Verdict

_ORDER: dict[Judgement, int] = {"fits": 0, "can't tell": 1, "ruled out": 2}
_WAYS = {"removed": "counted as removed", "left-out": "left out"}


def sorted_verdicts(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the fitting recipes first, then those that can't be told, then those ruled out."""
    return tuple(sorted(verdicts, key=lambda one: (*_order(one), one.recipe)))


def either(verdicts: Mapping[str, Sequence[Verdict]]) -> list[Verdict]:
    """Return the verdicts of several ways to take absent images as one: what fits one way, fits.

    Args:
        verdicts: Way (`removed`, `left-out`) -> a verdict for every recipe.
    """
    merged = []
    for of_one in zip(*verdicts.values(), strict=True):
        best = min(of_one, key=_order)
        if len({verdict.judgement for verdict in of_one}) == 1:
            # With the parameters that belong to the tables.
            best = best if best.judgement == "ruled out" else of_one[0]
        else:
            absent = next(way for way, one in zip(verdicts, of_one, strict=True) if one is best)
            condition = f"only with absent images {_WAYS[absent]}"
            best = replace(
                best,
                absent="removed" if absent == "removed" else "left-out",
                reason="; ".join(part for part in (condition, best.reason) if part),
            )
        merged.append(best)
    return merged


def conclusion(verdicts: Sequence[Verdict]) -> str:
    """Return what the verdicts come to, in a sentence."""
    fitting = [verdict.recipe for verdict in verdicts if verdict.judgement == "fits"]
    unknown = [verdict.recipe for verdict in verdicts if verdict.judgement == "can't tell"]
    if len(fitting) > 1:
        return f"The data can't tell these apart: {', '.join(fitting)}."
    if unknown and not fitting:
        return f"The data rules these neither in nor out: {', '.join(unknown)}."
    if not fitting:
        return "None of these recipes explains what was removed."
    others = f" (no telling about {', '.join(unknown)})" if unknown else ""
    return (
        f"Of these recipes only {fitting[0]} fits{others}. That does not prove that it made the "
        "file: a rule that is not listed may fit as well."
    )


def _order(verdict: Verdict) -> tuple[int, float]:
    return _ORDER[verdict.judgement], -(verdict.p or 0.0)

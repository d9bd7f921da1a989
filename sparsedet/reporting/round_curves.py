"""The curves of a report: annotations, AP50 and completeness over the rounds, and reliability."""

from collections.abc import Iterator, Sequence

from sparsedet.loop.status import RoundStatus
from sparsedet.reporting.pictures import ACCEPTED, EDITED, HUMAN, MINED
from sparsedet.reporting.reliability import ReliabilityBin
from sparsedet.reporting.svg_curves import Curve, curve_svg

_PERCENT = 100
_MINUTE = 60


def report_curves(
    rounds: Sequence[RoundStatus], now: int, bins: Sequence[ReliabilityBin]
) -> list[tuple[str, str]]:
    """Return title and `<svg>` element of each curve with data.

    Args:
        rounds: Oldest first.
        now: Current number of annotations.
        bins: Accepted boxes by expected precision.
    """
    curves = [*_over_rounds(rounds, now), *_completeness(rounds), *_reliability(bins)]
    return [(curve.title, curve_svg(curve, f"curve{n}")) for n, curve in enumerate(curves)]


def _over_rounds(rounds: Sequence[RoundStatus], now: int) -> Iterator[Curve]:
    counted = [entry for entry in rounds if entry.annotations is not None]
    if not counted:
        return
    labels = [str(entry.round) for entry in counted]
    annotations = [*(entry.annotations for entry in counted), now]
    yield Curve("Annotations", [*labels, "now"], annotations, HUMAN.css_colour)
    ap50 = [entry.ap50 for entry in counted]
    if any(value is not None for value in ap50):
        title = "AP50 of the round's model"
        yield Curve(title, labels, ap50, ACCEPTED.css_colour, decimals=1, top=_PERCENT)


def _completeness(rounds: Sequence[RoundStatus]) -> Iterator[Curve]:
    """Yield the estimates over review time; over rounds, if time was not measured.

    A round's estimate is that after its last review, so its own time is included.
    """
    seconds, labels, shares, spans, minutes = 0.0, [], [], [], []
    for entry in rounds:
        seconds += entry.seconds
        if (found := entry.estimate) is not None and entry.round is not None:
            labels.append(str(entry.round))
            shares.append(_PERCENT * found.share)
            spans.append((_PERCENT * found.low, _PERCENT * found.high))
            minutes.append(seconds / _MINUTE)
    if not shares:
        return
    is_timed = minutes[-1] > 0
    if is_timed:
        labels = [
            f"round {label}: {share:.0f}" for label, share in zip(labels, shares, strict=True)
        ]
    yield Curve(
        "Estimated completeness, % (90 % interval)",
        labels,
        shares,
        MINED.css_colour,
        top=_PERCENT,
        horizontal="minutes of review" if is_timed else "round",
        places=minutes if is_timed else (),
        spans=spans,
    )


def _reliability(bins: Sequence[ReliabilityBin]) -> Iterator[Curve]:
    if not bins:
        return
    yield Curve(
        "Accepted by reviewers, % (90 % interval)",
        [f"{one.boxes:,}" for one in bins],
        [_PERCENT * one.accepted for one in bins],
        EDITED.css_colour,
        top=_PERCENT,
        horizontal="expected precision, %; labels: boxes judged",
        places=[_PERCENT * one.expected for one in bins],
        end=_PERCENT,
        spans=[(_PERCENT * one.span[0], _PERCENT * one.span[1]) for one in bins],
        diagonal=True,
    )

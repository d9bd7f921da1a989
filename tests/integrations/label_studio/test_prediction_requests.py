"""Distribution of predictions over requests."""

import pytest

from sparsedet.integrations.label_studio import predictions
from sparsedet.integrations.label_studio.predictions import NewPrediction


def sizes(*regions: int) -> list[list[int]]:
    new = [NewPrediction(task, [{}] * count, "v") for task, count in enumerate(regions)]
    requests = list(predictions._requests(new))
    assert [one for some in requests for one in some] == new
    return [[len(one.result) for one in some] for some in requests]


def test_a_request_has_so_many_predictions_and_so_many_regions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predictions, "CHUNK", 3)
    monkeypatch.setattr(predictions, "_REGIONS", 10)
    assert sizes() == []
    assert sizes(1, 1, 1, 1) == [[1, 1, 1], [1]]
    assert sizes(5, 5, 1, 9, 2) == [[5, 5], [1, 9], [2]]
    # One that is too big by itself goes alone.
    assert sizes(1, 40, 2) == [[1], [40], [2]]

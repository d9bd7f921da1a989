"""Reviews are collected in the background soon after the tool reports them."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock, patch

import pytest

from sparsedet.errors import ToolError
from sparsedet.ledger import Ledger, Place
from sparsedet.loop import live_reviews
from sparsedet.loop.live_reviews import ReviewCollector, reviewed_places
from sparsedet.loop.lots import collect_and_settle
from sparsedet.loop.settings import Settings, Source
from tests.loop.small_project import SmallProject, without
from tests.waiting import wait_for


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path)
    project.push_round(1, "v1")
    return project


@pytest.fixture
def collector(project: SmallProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReviewCollector]:
    monkeypatch.setattr(live_reviews, "QUIET_SECONDS", 0.5)
    monkeypatch.setattr(live_reviews, "FAILED_SECONDS", 0.05)
    collector = ReviewCollector(project.workspace, project.tool)
    collector.start()
    yield collector
    collector.stop()


def outcomes(project: SmallProject) -> set[str]:
    with closing(Ledger(project.workspace.ledger)) as ledger:
        return {box.outcome for box in ledger.boxes() if box.region_id.endswith("-b.png")}


def test_what_was_reported_while_the_server_was_away_is_read_later(
    project: SmallProject, collector: ReviewCollector, caplog: pytest.LogCaptureFixture
) -> None:
    away = ToolError("can't reach Label Studio")
    project.review("b.png", without("wrong"))
    with (
        patch.object(live_reviews, "collect_and_settle", Mock(side_effect=away)) as read,
        caplog.at_level(logging.WARNING),
    ):
        collector.notify(project.project)
        wait_for(lambda: read.call_count > 2)
        assert outcomes(project) == {"pending"}
    wait_for(lambda: outcomes(project) == {"accepted", "rejected"})
    assert [record.getMessage() for record in caplog.records] == [
        "can't read reviews at the moment: can't reach Label Studio"
    ]


def test_many_reports_cost_one_reading(project: SmallProject, collector: ReviewCollector) -> None:
    project.review("b.png", without("wrong"))
    with patch.object(live_reviews, "collect_and_settle", Mock(wraps=collect_and_settle)) as read:
        for _ in range(20):
            collector.notify(project.project)
            time.sleep(0.02)
        wait_for(lambda: outcomes(project) == {"accepted", "rejected"})
        assert read.call_count == 1
        collector.notify("of another workspace")
        time.sleep(0.5)
        assert read.call_count == 1


def test_places_on_other_servers_are_not_on_this_one() -> None:
    """Their projects may have the numbers of somebody's projects here."""
    here, before, other = "http://here", "http://before", "http://other"
    places = [
        Place("label-studio", here, "3", "4", "review-project"),
        Place("label-studio", before, "3", "5", "sheets"),
        Place("label-studio", other, "6", "7", "review-project"),
        Place("files", here, "8", "9", "review-project"),
    ]
    settings = Settings(source=Source(tool="label-studio", url=here, project="3"))
    found = reviewed_places(Mock(places=lambda: places), settings, here)
    assert found == places[:2]

"""The real editor's traces of a draft in an annotation: the evidence of a rejection."""

import pytest
from playwright.sync_api import expect

from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from tests.integrations.label_studio.browser import (
    UPDATE,
    drag,
    finish,
    log_in,
    open_browser,
    open_first_task,
    wait_for_editor,
)
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.drafts.draft_helpers import (
    judged,
    pull_again,
    push,
    pushed_images,
    reviewed,
    tasks,
)
from tests.integrations.label_studio.samples import (
    DRAWN_BY_PEOPLE,
    FOUND_BY_MODEL,
    mined_boxes,
)

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]


def test_only_boxes_that_the_editor_showed_are_rejected(
    tool: LabelStudioTool, label_studio: LocalServer, pulled: Pulled
) -> None:
    image = pulled.dataset.images[0].id
    mined = [box for box in mined_boxes(pulled.dataset) if box.image_id == image]
    first = tasks(tool, pulled)[0]["id"]
    with open_browser() as page:
        log_in(page, label_studio)
        page.goto(f"{tool.url}/projects/{pulled.project}/data?task={first}")
        wait_for_editor(page, UPDATE)
        # The draft goes up while the person has the annotation open.
        push(tool, pulled, mined)
        left, top, right, bottom = DRAWN_BY_PEOPLE["human-orange"][1]
        drag(page, ((left + right) / 2, (top + bottom) / 2), (30.0, 20.0))
        finish(page, UPDATE, "PATCH")
        assert tasks(tool, pulled)[0]["drafts"] == []
        assert reviewed(tool, pulled, pushed_images(pulled, mined)) == []

        later = pull_again(tool, pulled)
        report = push(tool, later, mined)
        regions = open_first_task(page, report.url, UPDATE)
        for number, (_, _, score) in enumerate(FOUND_BY_MODEL.values()):
            regions.filter(has_text=f"{score:.2f}").click()
            page.keyboard.press("Backspace")
            expect(regions).to_have_count(len(DRAWN_BY_PEOPLE) + 3 - number)
        # The editor saves the draft by itself; the person continues later.
        with page.expect_response(lambda answer: "/api/drafts/" in answer.url):
            pass
        page.reload()
        wait_for_editor(page, UPDATE)
        expect(regions).to_have_count(len(DRAWN_BY_PEOPLE))
        assert reviewed(tool, pulled, pushed_images(later, mined)) == []
        finish(page, UPDATE, "PATCH")
    (review,) = reviewed(tool, pulled, pushed_images(later, mined))
    assert judged(review) == {f"{name}-1" for name in FOUND_BY_MODEL}
    assert {region.region_id for region in review.regions} == DRAWN_BY_PEOPLE.keys()

"""A person reads a review project's instruction and follows it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from tests.integrations.label_studio.browser import (
    SUBMIT,
    finish,
    log_in,
    open_browser,
    outlines,
    take_screenshots,
    texts_on_picture,
    wait_for_editor,
)
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.review_project.review_helpers import mode_of, push
from tests.integrations.label_studio.samples import DRAWN_BY_PEOPLE, FOUND_BY_MODEL, mined_boxes

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]

BARE = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image">
    <Label value="orange"/><Label value="parcel"/>
  </RectangleLabels>
</View>"""


def select(page: Page, name: str) -> None:
    """Select a mined box in the list of regions, by its score, and wait for its details."""
    page.keyboard.press("Escape")
    score = f"{FOUND_BY_MODEL[name][2]:.2f}"
    page.locator(".lsf-outliner-item").filter(has_text=score).click()
    expect(page.get_by_text(f"{name}-1", exact=True)).to_be_visible()


@contextmanager
def pushed_review(
    label_studio: LocalServer, tool: LabelStudioTool, pulled: Pulled
) -> Iterator[tuple[Page, str]]:
    """Push the boxes of the first image; yield the page that reviews them, and the project."""
    first = pulled.dataset.images[0]
    report = push(tool, pulled, [b for b in mined_boxes(pulled.dataset) if b.image_id == first.id])
    with open_browser() as page:
        log_in(page, label_studio)
        page.goto(f"{report.url}/data?labeling=1")
        wait_for_editor(page, SUBMIT)
        page.keyboard.press("Escape")
        yield page, report.review_project


def test_a_person_does_what_the_instruction_says(
    label_studio: LocalServer, tool: LabelStudioTool, pulled: Pulled
) -> None:
    tool.connection.client.projects.update(int(pulled.project), label_config=BARE)
    first = pulled.dataset.images[0]
    mined = [box for box in mined_boxes(pulled.dataset) if box.image_id == first.id]
    only_judged = frozenset({first.id})
    report = push(tool, pulled, mined, queue=[first.id], judge_only=only_judged)
    with open_browser() as page:
        log_in(page, label_studio)
        page.goto(f"{report.url}/data?labeling=1")
        wait_for_editor(page, SUBMIT)
        page.get_by_text("Labeling Instructions").wait_for()
        for said in ("Vivid boxes are a model's.", "a hidden box counts as right", "(key c)"):
            expect(page.get_by_text(said)).to_be_visible()
        take_screenshots(page, "review-instruction")
        page.keyboard.press("Escape")
        expect(page.get_by_text("Labeling Instructions")).to_have_count(0)

        expect(page.get_by_role("checkbox", name="drawing can wait")).to_be_checked()
        check_looks(outlines(page))
        take_screenshots(page, "review-boxes")
        # No project can switch this on; its browser keeps it.
        assert texts_on_picture(page) == []
        page.get_by_role("button", name="Settings").last.click()
        page.get_by_text("Show region labels").click()
        page.keyboard.press("Escape")
        page.wait_for_function("() => Konva.stages[0].find('Text').length === 10")
        written = texts_on_picture(page)
        for category, _, score in FOUND_BY_MODEL.values():
            at = written.index(f"{score:.2f}")
            assert written[at + 1].endswith(f": {'orange' if category == 1 else 'parcel'}")
        assert {"1: orange ✓", "2: parcel ✓"} <= set(written)
        take_screenshots(page, "review-labels")

        select(page, "mined-wrong")
        page.keyboard.press("Backspace")
        expect(page.locator(".lsf-outliner-item")).to_have_count(5)
        select(page, "mined-parcel")
        page.keyboard.press("1")
        select(page, "mined-orange")
        page.keyboard.press("Alt+m")
        page.wait_for_function("() => document.activeElement.tagName === 'TEXTAREA'")
        page.keyboard.type("unsure")
        page.keyboard.press("Enter")
        expect(page.get_by_text("unsure", exact=True)).to_be_visible()
        select(page, "mined-moved")
        page.keyboard.press("Alt+h")
        page.wait_for_function(
            "() => !Konva.stages[0].find('Rect').some(box => box.name()?.startsWith('mined-moved'))"
        )
        page.keyboard.press("Escape")
        page.keyboard.press("c")
        with page.expect_response(
            lambda answer: answer.request.method == "POST" and "/annotations" in answer.url
        ):
            page.keyboard.press("Control+Enter")

    (review,) = mode_of(tool).reviews(report.review_project, []).reviews
    assert review.complete
    left = {
        region.region_id.removesuffix("-1"): (region.category, region.unsure)
        for region in review.regions
    }
    assert left == {
        "human-orange": ("orange", False),
        "human-parcel": ("parcel", False),
        "mined-parcel": ("orange", False),
        "mined-orange": ("orange", True),
        "mined-moved": ("orange", False),  # hidden
    }


def test_a_person_submits_without_filling_in_what_the_project_requires(
    label_studio: LocalServer, tool: LabelStudioTool, pulled: Pulled
) -> None:
    demanding = BARE.replace(
        "</View>",
        """<Choices name="light" toName="image" required="true"><Choice value="good"/></Choices>
        <TextArea name="caption" toName="image" Required="true" requiredMessage="Write one"/>
        <Choices name="hidden" toName="image" perRegion="true" required="true">
        <Choice value="yes"/></Choices></View>""",
    )
    tool.connection.client.projects.update(int(pulled.project), label_config=demanding)
    with pushed_review(label_studio, tool, pulled) as (page, review_project):
        finish(page, SUBMIT, "POST")
    (review,) = mode_of(tool).reviews(review_project, []).reviews
    assert len(review.regions) == len(DRAWN_BY_PEOPLE) + len(FOUND_BY_MODEL)
    found = tool.connection.client.projects.get(int(pulled.project))
    assert (found.label_config or "").lower().count("required=") == 3


def test_a_person_leaves_the_page_and_resumes_the_review(
    label_studio: LocalServer, tool: LabelStudioTool, pulled: Pulled
) -> None:
    with pushed_review(label_studio, tool, pulled) as (page, review_project):
        with page.expect_response(lambda answer: "/drafts" in answer.url):
            select(page, "mined-wrong")
            page.keyboard.press("Backspace")
        page.reload()
        wait_for_editor(page, SUBMIT)
        page.keyboard.press("Escape")
        expect(page.locator(".lsf-outliner-item")).to_have_count(5)
        finish(page, SUBMIT, "POST")
    (review,) = mode_of(tool).reviews(review_project, []).reviews
    assert len(review.shown) == len(DRAWN_BY_PEOPLE) + len(FOUND_BY_MODEL)
    assert review.shown.keys() - {r.region_id for r in review.regions} == {"mined-wrong-1"}


def check_looks(drawn: dict[str, str]) -> None:
    """Check that classes differ in colour, and the boxes of people by how they are transparent."""
    looks = {name.removesuffix("-1"): _rgba(color) for name, color in drawn.items()}
    assert looks.keys() == DRAWN_BY_PEOPLE.keys() | FOUND_BY_MODEL.keys()
    for category in ("orange", "parcel"):
        person, model = looks[f"human-{category}"], looks[f"mined-{category}"]
        assert person[:3] == model[:3]
        assert person[3] == pytest.approx(0.4)
        assert model[3] == 1.0
    assert looks["mined-orange"][:3] != looks["mined-parcel"][:3]


def _rgba(css: str) -> tuple[float, ...]:
    numbers = tuple(float(number) for number in re.findall(r"[\d.]+", css))
    return numbers if len(numbers) == 4 else (*numbers, 1.0)

"""Make the pictures of README and manual again, from the real pages.

    make screenshots                        # all: the demo takes some minutes
    make screenshots ARGS="review sheet"    # some

What reviewers see is what the browser tests see: they leave pictures of it among their artifacts.
Picture and report come from a demo, which resumes where an interrupted one stopped.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.integrations.label_studio.browser import open_browser

ROOT = Path(__file__).parents[2]
SHOWN = ROOT / "benchmarks/results/demo"
WORK = ROOT / "build/screenshots"
REVIEWS = "tests/integrations/label_studio"
QUALITY = 85
"""Of the JPEG files."""
REPORT_SIZE = (1280, 1500)
"""Width and height of what is shown of the report, in pixels: its top."""


@dataclass(frozen=True, slots=True)
class Review:
    """A picture that a browser test takes."""

    test: str
    artifact: str
    width: int
    """To which the picture is scaled down."""


PICTURES: dict[str, Review | None] = {
    "review": Review(
        f"{REVIEWS}/review_project/test_review_browser.py::"
        "test_a_person_does_what_the_instruction_says",
        "review-labels-1500.png",
        1200,
    ),
    "sheet": Review(
        f"{REVIEWS}/test_sheets_in_browser.py::test_two_deleted_one_renamed_and_the_rest_submitted",
        "sheet-1500.png",
        1500,
    ),
    "draft": Review(
        f"{REVIEWS}/test_browser.py::test_a_person_updates_an_annotation_with_a_draft",
        "draft.png",
        1200,
    ),
    "picture": None,
    "report": None,
}
"""By the name of the file; None: it comes from the demo."""


def main() -> None:
    """Make the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(PICTURES)}")
    names = parser.parse_args().names or list(PICTURES)
    if unknown := set(names) - PICTURES.keys():
        parser.error(f"no such picture: {', '.join(sorted(unknown))}")
    reviews = {name: review for name in names if (review := PICTURES[name]) is not None}
    if reviews:
        _review(list(reviews.values()))
    for name, review in reviews.items():
        _save(WORK / review.artifact, name, review.width)
    if len(reviews) < len(names):
        demo = _demo()
        if "picture" in names:
            _save(demo / "picture.jpg", "picture")
        if "report" in names:
            _save(_picture_of(demo / "report.html"), "report")


def _review(reviews: list[Review]) -> None:
    """Run the browser tests, which start a Label Studio, and keep their pictures."""
    # With CI set they fail where there is no browser, instead of being skipped.
    env = {**os.environ, "SPARSEDET_ARTIFACTS": str(WORK), "CI": "true"}
    tests = [review.test for review in reviews]
    subprocess.run([sys.executable, "-m", "pytest", "-q", *tests], cwd=ROOT, env=env, check=True)


def _demo() -> Path:
    """Run the demo in a folder of its own, and return that."""
    folder = WORK / "demo"
    command = [sys.executable, "-m", "sparsedet", "demo", "-o", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder


def _picture_of(page: Path) -> Path:
    """Take a picture of the top of an HTML page."""
    file = WORK / "report.png"
    with open_browser() as browser:
        browser.set_viewport_size({"width": REPORT_SIZE[0], "height": REPORT_SIZE[1]})
        browser.goto(page.resolve().as_uri())
        browser.screenshot(path=file)
    return file


def _save(source: Path, name: str, width: int | None = None) -> None:
    """Write a picture to where README and manual show it, no wider than `width` pixels."""
    with Image.open(source) as image:
        picture = image.convert("RGB")
    if width is not None and picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)))
    picture.save(SHOWN / f"{name}.jpg", quality=QUALITY, optimize=True)
    print(f"{(SHOWN / name).relative_to(ROOT)}.jpg")


if __name__ == "__main__":
    main()

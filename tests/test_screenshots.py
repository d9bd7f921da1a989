"""The pictures that `make screenshots` makes are those that README and manual show."""

import re

from docs.generate.screenshots import PICTURES, ROOT, SHOWN
from tests.pages import MANUAL, links


def test_every_picture_is_shown_and_every_one_shown_is_made() -> None:
    shown = {(page.parent / link).resolve() for page in MANUAL for link in links(page)}
    of_the_demo = {path.stem for path in shown if path.parent == SHOWN}
    assert of_the_demo == PICTURES.keys() == {path.stem for path in SHOWN.iterdir()}


def test_the_browser_tests_that_take_them_are_there() -> None:
    for review in filter(None, PICTURES.values()):
        file, _, test = review.test.partition("::")
        source = (ROOT / file).read_text(encoding="utf-8")
        body = source.split(f"def {test}(")[1].split("\ndef ")[0]
        name = re.sub(r"(-1500)?\.png$", "", review.artifact)
        assert re.search(rf'take_screenshots?\(page, "{name}(\.png)?"\)', body), review

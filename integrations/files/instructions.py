"""What a reviewer reads beside `to_review.json`."""

from pathlib import Path

from .review_files import REVIEWED, TO_REVIEW

_TEXT = """\
Boxes to review
===============

{to_review} is a COCO file. It holds the boxes that people have drawn, and boxes that a model found
missing; those carry "origin": "mined" and a "score".

1. Import {to_review} into your annotation tool, with these images: {images}
2. Delete the boxes that are wrong, correct those that are off, draw what is missing.
3. Export the reviewed images as COCO and save the file as {reviewed} in this folder.
   Every image that {reviewed} lists counts as reviewed: leave out what you have not looked at.
4. Run `sparsedet review`.

File names and image sizes have to stay; ids and the other keys may get lost. If your tool lets you
write keys, these are read: "exhaustive": true of an image (every object in it has a box),
"reviewer" and "seconds" of an image, "note": "unsure" of an annotation (it stays undecided).
"""


def instructions(images: Path) -> str:
    """Return the text; `images` is the image folder."""
    return _TEXT.format(to_review=TO_REVIEW, reviewed=REVIEWED, images=images)

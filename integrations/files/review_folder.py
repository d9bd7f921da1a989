"""Where a push of files goes, and what it says to reviewers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .project import Project

_INSTRUCTIONS = """\
Images to review
================

{to_review} is a COCO file. It holds the boxes that people have drawn, and boxes that a model found
missing; those carry "origin": "mined" and a "score". Some images have none of these: there the
model found nothing that it is sure of.

1. Import {to_review} into your annotation tool, with these images: {images}
   Review them in the order of the file, in which most is found per minute.
2. Delete the boxes that are wrong, correct those that are off, draw what is missing. On images
   with "judge_only": true drawing can wait: a later model may find what is missing.
   Look twice at boxes with "suspected": a model would have drawn them in another way. The key
   says in which; correct or delete the box, or leave it.
   Where every object of an image has a box, mark the image as complete: "exhaustive": true.
   Where that is so of some classes alone, name them: "complete_classes": [1, 4], by the ids of
   their categories; a class without a box is then known to be absent.
3. Export the reviewed images as COCO and save the file as {reviewed} in this folder.
   Every image that {reviewed} lists counts as reviewed: leave out what you have not looked at.
   Several people save reviewed-NAME.json each.
4. Run `sparsedet review`.

When a newer model's boxes take the place of these, their images move from {to_review} to
{withdrawn}: review the newest folder's file then. If you have begun with them, finish: what
{reviewed} says of them counts.

File names and image sizes have to stay; ids and the other keys may get lost. If your tool lets you
write keys, these are read: "exhaustive", "complete_classes", "reviewer" and "seconds" of an image,
"note": "unsure" of an annotation (it stays undecided).
"""
"""Next to `to_review.json`, for the reviewer."""


@dataclass(frozen=True, slots=True)
class ReviewFolder:
    """Where a push goes, and what it may show."""

    path: Path
    """Holds a folder for each model version."""
    name: str
    """`PushReport.review_project`."""
    known: frozenset[str]
    """Tool ids of the images that there are."""
    images: Path
    """Where the image files are, for the instructions."""
    rename: Mapping[str, str]
    """Category as it is stored -> its present name."""
    instructions: str = _INSTRUCTIONS

    @classmethod
    def of(cls, project: Project, name: str) -> "ReviewFolder":
        """Return that of a project's images."""
        files = project.read()
        known = frozenset(image.file_name for image in files.dataset.images)
        images = files.images or project.folder
        return cls(project.review, name, known, images, project.rename)

"""The review folder of a push, and its instructions for reviewers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .project import Project

_INSTRUCTIONS = """\
Images to review
================

{to_review} is a COCO file. It contains the boxes that people have drawn, and boxes that a model
found missing, with "origin": "mined" and a "score". Some images have none of the latter: there the
model found nothing with certainty.

1. Import {to_review} into your annotation tool, with these images: {images}
   Review them in the order of the file, so that most is found per minute.
2. Delete wrong boxes, correct inaccurate ones, draw missing ones. On images with
   "judge_only": true, drawing can wait: a later model may find what is missing.
   Check boxes with "suspected", which look wrong to a model. The key says why; correct or delete
   the box, or leave it.
   If every object of an image has a box, mark the image as complete: "exhaustive": true.
   Where that is so of some classes alone, name them: "complete_classes": [1, 4], by the ids of
   their categories; a class without a box is then known to be absent.
3. Export the reviewed images as COCO and save the file as {reviewed} in this folder.
   Every image listed in {reviewed} counts as reviewed: leave out those you have not looked at.
   Several people save reviewed-NAME.json each.
4. Say so to the person who runs `sparsedet round`: the next round reads the reviews.

If a newer model's boxes replace these, their images move from {to_review} to {withdrawn}: then
review the file in the newest folder. If you have already started, finish: your reviews in
{reviewed} still count.

File names and image sizes have to stay; ids and the other keys may get lost. If your tool lets you
write keys, these are read: "exhaustive", "complete_classes", "reviewer" and "seconds" of an image,
"note": "unsure" of an annotation (it stays undecided).
"""
"""File next to `to_review.json`, for reviewers."""


@dataclass(frozen=True, slots=True)
class ReviewFolder:
    """Target of a push, and the images it may show."""

    path: Path
    """Folder with a sub-folder per model version."""
    name: str
    """`PushReport.review_project`."""
    known: frozenset[str]
    """Tool ids of existing images."""
    images: Path
    """Path of the image files, for the instructions."""
    rename: Mapping[str, str]
    """Stored category -> current name."""
    instructions: str = _INSTRUCTIONS

    @classmethod
    def of(cls, project: Project, name: str) -> "ReviewFolder":
        """Return the review folder for a project's images."""
        files = project.read()
        known = frozenset(image.file_name for image in files.dataset.images)
        images = files.images or project.folder
        return cls(project.review, name, known, images, project.rename)

"""Classes that were added after images had been marked as complete.

The marks count for them as well, although nobody looked for their objects.
"""

from sparsedet.annotations import Dataset
from sparsedet.loop.pulled_files import read_round
from sparsedet.loop.workspace import Workspace
from sparsedet.wording import counted, first_of


def note_new_classes(workspace: Workspace, pulled: Dataset) -> str:
    """Return a line about complete images that were marked before a class existed, for display.

    Images with a box of the class, or a verified negative, were looked at again since then.

    Args:
        workspace: its last round with annotations says which classes and marks there were.
        pulled: the annotations now.

    Returns:
        Empty if there are no such images.
    """
    rounds = [folder for folder in workspace.all_rounds() if folder.annotations.exists()]
    if not rounds:
        return ""
    before = read_round(rounds[-1])
    known = {category.name for category in before.categories}
    new = [one for one in pulled.categories if known.isdisjoint({one.name, *one.aliases})]
    marked = {image.file_name for image in before.images if image.exhaustive}
    judged = {
        (box.category_id, box.image_id) for box in (*pulled.boxes, *pulled.verified_negatives)
    }
    waiting = [
        image
        for image in pulled.images
        if image.exhaustive
        and image.file_name in marked
        and any((one.id, image.id) not in judged for one in new)
    ]
    if not waiting:
        return ""
    names = first_of(repr(category.name) for category in new)
    classes = f"class {names} is" if len(new) == 1 else f"classes {names} are"
    before_it, its = ("it", "its") if len(new) == 1 else ("them", "their")
    images = counted(len(waiting), "image was", "images were")
    return (
        f"{classes} new: {images} marked as complete before {before_it}; draw {its} objects there, "
        "or remove the mark"
    )

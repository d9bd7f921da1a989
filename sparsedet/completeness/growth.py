"""The number of missing objects after a project has grown.

An earlier model's expectation says nothing about images and classes that it didn't know. In a
project that has grown it would be far too low. So it is extended by what these most likely lack,
with an uncertainty of the same size.
"""

import math

from sparsedet.annotations import Dataset, Image
from sparsedet.completeness.object_count import Count


def with_growth(missing: Count | None, before: Dataset, now: Dataset) -> Count | None:
    """Return an earlier expectation, extended to new images and classes.

    New images are expected to hold as many objects as the others; of a new class, as many are
    expected to be missing as drawn.

    Args:
        missing: expected objects without annotation among the images and classes of `before`; None:
            none are expected.
        before: the annotations of the earlier model; ids may differ from those of `now`.
        now: the current annotations.
    """
    if missing is None:
        return None
    keys = {_key(image) for image in before.images}
    names = {category.name for category in before.categories}
    known = {image.id for image in now.images if _key(image) in keys}
    new = {image.id for image in now.images if not now.is_complete(image)} - known
    classes = {category.id for category in now.categories if category.name not in names}
    boxes = [box for box in now.boxes if not box.iscrowd]
    on_known = sum(box.image_id in known for box in boxes)
    drawn = sum(box.image_id in new for box in boxes)
    of_new_classes = sum(box.image_id in known and box.category_id in classes for box in boxes)
    per_image = (on_known + missing.mean) / max(len(known), 1)
    more = max(per_image * len(new) - drawn, 0.0) + of_new_classes
    if not more:
        return missing
    mean = missing.mean + more
    return Count(mean, math.hypot(missing.spread * missing.mean, more) / mean)


def _key(image: Image) -> str:
    return image.tool_id or image.file_name

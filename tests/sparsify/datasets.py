"""Datasets for the tests of removal: hypothesis strategies and one fixed example."""

from hypothesis import strategies as st

from sparsedet.annotations import Box, Category, Dataset, Image

CATEGORIES = tuple(Category(number, f"class {number}") for number in (1, 2, 3))


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Draw up to 6 images with up to 8 boxes each: crowd regions, empty and exhaustive images."""
    image_ids = draw(st.lists(st.integers(1, 99), min_size=1, max_size=6, unique=True))
    images = tuple(
        Image(number, f"{number}.jpg", 20, 20, draw(st.booleans()), extra={"license": number})
        for number in image_ids
    )
    owners = draw(st.lists(st.sampled_from(image_ids), max_size=8 * len(images)))
    box_ids = draw(st.permutations(range(1, len(owners) + 1)))
    boxes = tuple(
        Box(
            box_id,
            owner,
            draw(st.sampled_from(CATEGORIES)).id,
            (0, 0, 5, 5),
            iscrowd=draw(st.sampled_from([False, False, False, True])),
            extra={"segmentation": [box_id]},
        )
        for box_id, owner in zip(box_ids, owners, strict=True)
    )
    return Dataset(images, boxes, CATEGORIES, extra={"info": "kept"})


def grid(images: int, boxes_per_image: int) -> Dataset:
    """Return exhaustive images with boxes of alternating classes."""
    names = tuple(Image(i, f"{i:04}.jpg", 20, 20, True) for i in range(images))
    boxes = tuple(
        Box(image.id * 1000 + j, image.id, 1 + j % 3, (j, 0, j + 1, 1))
        for image in names
        for j in range(boxes_per_image)
    )
    return Dataset(names, boxes, CATEGORIES)

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


@st.composite
def scenes(draw: st.DrawFn) -> Dataset:
    """Draw up to 5 images of different sizes with up to 9 boxes each, anywhere and of any size."""
    sizes = draw(st.lists(st.tuples(_SIDES, _SIDES), min_size=1, max_size=5))
    images = tuple(
        Image(number, f"{number}.jpg", width, height)
        for number, (width, height) in enumerate(sizes, start=1)
    )
    owners = draw(st.lists(st.sampled_from(images), max_size=9 * len(images)))
    boxes = tuple(
        Box(
            number,
            image.id,
            draw(st.sampled_from(CATEGORIES)).id,
            draw(_edges(image.width, image.height)),
            iscrowd=draw(st.sampled_from([False, False, False, False, True])),
        )
        for number, image in enumerate(owners, start=1)
    )
    return Dataset(images, boxes, CATEGORIES)


_SIDES = st.integers(8, 200)


def _edges(width: int, height: int) -> st.SearchStrategy[tuple[int, int, int, int]]:
    across, down = (
        st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True).map(sorted)
        for side in (width, height)
    )
    return st.tuples(across, down).map(
        lambda sides: (sides[0][0], sides[1][0], sides[0][1], sides[1][1])
    )

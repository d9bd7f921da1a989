"""Images divided into training and validation."""

from sparsedet.annotations import Dataset
from sparsedet.errors import SparseDetError
from sparsedet.sparsify.ranking import stable_rank


def divide(dataset: Dataset, val: float, seed: int) -> tuple[Dataset, Dataset]:
    """Divide the images into training and validation; return both, in file order.

    Args:
        dataset: The images to divide, with their boxes.
        val: Share of the images for validation, between 0 and 1; at least one image goes to
            either side.
        seed: Which images; the choice does not depend on their order in the file.

    Raises:
        SparseDetError: when `val` is out of range or there are fewer than two images.
    """
    if not 0 < val < 1:
        raise SparseDetError(f"--val is {val}, expected a share of the images between 0 and 1")
    total = len(dataset.images)
    if total < 2:
        raise SparseDetError(
            f"{total} image(s) can't be divided into training and validation; at least 2 are needed"
        )
    held_out = min(max(round(val * total), 1), total - 1)
    ranked = sorted(dataset.images, key=lambda image: stable_rank(seed, image.file_name))
    chosen = {image.id for image in ranked[:held_out]}
    return (
        dataset.with_images(image for image in dataset.images if image.id not in chosen),
        dataset.with_images(image for image in dataset.images if image.id in chosen),
    )


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Divide the images into training and validation, each image by itself.

    Unlike `divide` the share is met on average only, but an image stays on its side for good,
    however many others come or go: what for rounds on a growing project counts.

    Raises:
        SparseDetError: when one side stays empty.
    """
    held_out = {
        image.id for image in dataset.images if stable_rank(seed, image.file_name) < share * 2**64
    }
    if not 0 < len(held_out) < len(dataset.images):
        raise SparseDetError(
            f"a validation share of {share} leaves one side of {len(dataset.images)} images empty; "
            "choose another share, or measure on a file of its own"
        )
    return (
        dataset.with_images(image for image in dataset.images if image.id not in held_out),
        dataset.with_images(image for image in dataset.images if image.id in held_out),
    )

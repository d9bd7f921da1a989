"""Which boxes cells train on, and what settings are chosen on."""

from benchmarks.accuracy.data import FullData, inner
from tests.benchmarks.accuracy.records import cell


def test_cells_of_one_seed_train_on_the_same_boxes(digits: FullData) -> None:
    plain = digits.sparse(cell("plain"))
    assert digits.sparse(cell("staged")) == plain
    assert digits.sparse(cell(seed=2)) != plain
    assert len(digits.sparse(cell(drop=0.7))[0].boxes) < len(plain[0].boxes)


def test_settings_are_chosen_on_training_images_alone(digits: FullData) -> None:
    chosen = inner(digits)
    train, test = (
        {image.file_name for image in part.images} for part in (chosen.train, chosen.test)
    )
    assert train | test == {image.file_name for image in digits.train.images}
    assert not train & test
    assert len(test) == len(digits.train.images) // 4
    assert len(chosen.train.boxes) + len(chosen.test.boxes) == len(digits.train.boxes)
    assert (chosen.name, chosen.test_images) == ("digits-inner", digits.train_images)
    sparse, removed = chosen.sparse(cell())
    assert {
        box.image_id for box in (*sparse.boxes, *removed.boxes)
    } <= chosen.train.image_by_id.keys()

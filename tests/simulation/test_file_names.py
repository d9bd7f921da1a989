"""Finding the image of the full annotations that a pulled one is."""

from urllib.parse import quote

import pytest

from sparsedet.errors import SparseDetError
from sparsedet.integrations.label_studio.images import cache_name
from sparsedet.simulation.file_names import match_file_names


@pytest.mark.parametrize(
    ("pulled", "truth", "expected"),
    [
        pytest.param("a.jpg", ["a.jpg", "x/a.jpg"], "a.jpg", id="the same name first"),
        pytest.param("in/a.jpg", ["out/a.jpg", "b.jpg"], "out/a.jpg", id="without folders"),
        pytest.param("12-abcd1234-a.jpg", ["a.jpg", "b.jpg"], "a.jpg", id="prefixes"),
        pytest.param("12-a-b.jpg", ["b.jpg", "a-b.jpg"], "a-b.jpg", id="the longest"),
        pytest.param("12-ab.jpg", ["b.jpg", "ab.jpg"], "ab.jpg", id="whole parts only"),
        pytest.param("3-f00-cell_1.jpg", ["x/cell (1).jpg"], "x/cell (1).jpg", id="taken out"),
        pytest.param("3-cell_1.jpg", ["cell#1.jpg"], "cell#1.jpg", id="replaced"),
        pytest.param("3-Zelle_ä.jpg", ["Zelle ä.jpg"], "Zelle ä.jpg", id="letters stay"),
    ],
)
def test_the_name_that_fits(pulled: str, truth: list[str], expected: str) -> None:
    assert match_file_names([pulled], truth) == {pulled: expected}


@pytest.mark.parametrize("name", ["plain.jpg", "with space.jpg", "a+b=c.jpg", "_x_.jpg"])
@pytest.mark.parametrize("address", ["/data/upload/1/0a1b2c3d-{}", "/data/local-files/?d=in/{}"])
def test_names_of_the_pull_are_found(name: str, address: str) -> None:
    pulled = cache_name(12, address.format(quote(name)))
    assert match_file_names([pulled], ["other.jpg", name]) == {pulled: name}


@pytest.mark.parametrize(
    ("pulled", "truth", "message"),
    [
        (["1-a.jpg", "2-b.jpg"], ["a.jpg"], "image 2-b.jpg: the full annotations have no image"),
        (["12-ab.jpg"], ["b.jpg"], "image 12-ab.jpg: the full annotations have no image"),
        (["1-a.jpg"], ["x/a.jpg", "y/a.jpg"], "It may be x/a.jpg or y/a.jpg"),
        (["1-a.jpg", "2-a.jpg"], ["a.jpg"], "image 2-a.jpg: a.jpg .* fits it and 1-a.jpg as well"),
    ],
)
def test_doubt_is_refused(pulled: list[str], truth: list[str], message: str) -> None:
    with pytest.raises(SparseDetError, match=message):
        match_file_names(pulled, truth)

"""A download is complete and has its hash, or gives one clear error and is not cached."""

import hashlib
from pathlib import Path

import pytest

from sparsedet.errors import ConfigError
from sparsedet.modeling.weights.download import cache_path, fetch, remove_download
from sparsedet.modeling.weights.resnet_weights import weights_url
from tests.modeling.weights.conftest import Files

CONTENT = b"weights" * 50_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WRONG = "0123456789abcdef"


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize("fragment", ["", f"#sha256={SHA256}", f"#sha256={SHA256[:8].upper()}"])
def test_a_file_is_downloaded_once(server: Files, fragment: str) -> None:
    server.contents["/some/w.pth"] = CONTENT
    source = f"{server.url}/some/w.pth{fragment}"
    path = fetch(source)
    assert path.read_bytes() == CONTENT
    assert path.name == "w.pth"
    assert fetch(source) == path
    assert server.requests == ["/some/w.pth"]
    remove_download(source)
    assert not path.exists()


def test_a_download_that_breaks_off_leaves_nothing(server: Files, caches: Path) -> None:
    server.contents["/w.pth"] = CONTENT
    server.cut.add("/w.pth")
    with pytest.raises(ConfigError, match=r"w\.pth: can't be fetched \(.*350000.*\).* its path"):
        fetch(f"{server.url}/w.pth")
    assert files_in(caches) == []
    server.cut.clear()
    assert fetch(f"{server.url}/w.pth").read_bytes() == CONTENT


def test_a_download_of_another_hash_is_refused(server: Files, caches: Path) -> None:
    server.contents["/w.pth"] = CONTENT
    with pytest.raises(ConfigError, match=f"its sha256 is {SHA256}, expected {WRONG}"):
        fetch(f"{server.url}/w.pth#sha256={WRONG}")
    assert files_in(caches) == []


def test_what_is_cached_with_another_hash_is_downloaded_again(server: Files) -> None:
    server.contents["/w.pth"] = b"old"
    fetch(f"{server.url}/w.pth")
    server.contents["/w.pth"] = CONTENT
    assert fetch(f"{server.url}/w.pth#sha256={SHA256}").read_bytes() == CONTENT


def test_a_query_is_a_file_of_its_own(server: Files) -> None:
    server.contents |= {"/get?id=1": b"one", "/get?id=2": b"two"}
    assert fetch(f"{server.url}/get?id=1").read_bytes() == b"one"
    assert fetch(f"{server.url}/get?id=2").read_bytes() == b"two"


@pytest.mark.parametrize(
    ("path", "message"), [("/none.pth", "answered with status 404"), ("/empty.pth", "empty file")]
)
def test_what_the_server_does_not_have_is_said(
    server: Files, caches: Path, path: str, message: str
) -> None:
    server.contents["/empty.pth"] = b""
    with pytest.raises(ConfigError, match=message) as caught:
        fetch(server.url + path)
    assert "\n" not in str(caught.value)
    assert files_in(caches) == []


def test_no_server_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:1/w\.pth: can't be fetched .*refused"):
        fetch("http://127.0.0.1:1/w.pth")


def test_the_hash_of_a_file_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(CONTENT)
    assert fetch(f"{file}#sha256={SHA256[:12]}") == file
    with pytest.raises(ConfigError, match=rf"w\.pth: its sha256 is {SHA256}, expected {WRONG}"):
        fetch(f"{file}#sha256={WRONG}")
    assert file.exists()
    with pytest.raises(ConfigError, match="expected 8 to 64 hexadecimal digits"):
        fetch(f"{file}#sha256=xyz")


@pytest.mark.parametrize("place", ["none.pth", ""])
def test_a_missing_file_is_named(tmp_path: Path, place: str) -> None:
    with pytest.raises(ConfigError, match=rf"{place}: no such file"):
        fetch(str(tmp_path / place))


def test_the_caches_of_torch_and_detectron2_are_shared(caches: Path) -> None:
    assert cache_path("detectron2://ImageNetPretrained/MSRA/R-50.pkl") == (
        caches / "iopath/detectron2/ImageNetPretrained/MSRA/R-50.pkl"
    )
    url, _, digits = weights_url("torchvision:resnet50").partition("#sha256=")
    assert cache_path(url) == caches / f"torch/hub/checkpoints/resnet50-{digits}.pth"
    assert cache_path("https://host/../../a/w.pth") == (
        caches / "torch/hub/checkpoints/host/a/w.pth"
    )


def test_torchvision_has_no_such_resnet() -> None:
    with pytest.raises(ConfigError, match=r"torchvision:vgg16: expected one of resnet18, .*50"):
        weights_url("torchvision:vgg16")

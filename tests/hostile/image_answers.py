"""Images of tasks that are unavailable, forbidden, or endless."""

import base64
import gzip
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from itertools import repeat
from pathlib import Path

from .case import Arguments, Case
from .odd_server import Answer, OddServer, json_answer, page, picture, task
from .server_answers import EXPORT, PULL

BAD = "/bad/image.png"
"""An address of the server, of task 1."""


def pull_image(
    name: str,
    says: str,
    answer: Answer | None = None,
    *,
    image: object = BAD,
    settings: str = "",
    status: int = 0,
    others: int = 1,
) -> Case:
    """Return the case of a project whose first task has a bad image.

    Args:
        name: of the case.
        says: what the output must hold.
        answer: what the server answers at `BAD`.
        image: the address, in which PORT stands for the server's port.
        settings: what `sparsedet.toml` holds of `[images]`, then of further sections.
        status: the exit status.
        others: tasks whose images are fine.
    """

    def prepare(folder: Path, server: OddServer) -> Arguments:
        port = server.url.rpartition(":")[2]
        address = image.replace("PORT", port) if isinstance(image, str) else image
        tasks = [task(1, address), *(task(2 + number) for number in range(others))]
        if image is None:  # which `task` takes for its own address
            tasks[0]["data"]["image"] = None
        server.answers[EXPORT] = json_answer(tasks)
        if answer is not None:
            server.answers[BAD] = answer
        if settings:
            (folder / "workspace").mkdir()
            (folder / "workspace" / "sparsedet.toml").write_text(
                f'[source]\ntool = "label-studio"\nurl = "{server.url}"\nproject = "1"\n{settings}'
            )
        return PULL

    return Case(name, prepare, says, status)


def left_out(what: str) -> str:
    """Return what a pull says that left task 1 out."""
    return rf"left out 1 of 2 tasks: 1 {what} \(task 1\)"


def png_of(width: int, height: int) -> bytes:
    """Return a PNG whose header promises that many pixels, and that holds none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"")
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    )


def drops(pause: float = 0.05) -> Iterator[bytes]:
    """Yield one byte at a time, for a minute."""
    for _ in range(int(60 / pause)):
        time.sleep(pause)
        yield b"."


def redirect(target: str, status: int = 302) -> Answer:
    """Return an answer that leads elsewhere."""
    return Answer(b"", status, "text/plain", {"Location": target})


def packed(body: bytes, how: str) -> Answer:
    """Return a PNG as a server packs it that does not ask."""
    return Answer(body, kind="image/png", headers={"Content-Encoding": how})


PNG = Answer(picture(), kind="image/png")
SMALL = "[images]\nmax_megabytes = 0.05\n"
BOMB = gzip.compress(bytes(5_000_000))
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'

LIMITS = [
    pull_image(
        "image without end",
        left_out("whose image is over a limit of .images.") + r".*max_megabytes",
        Answer(picture(), kind="image/png", stream=lambda: repeat(bytes(1 << 14))),
        settings=SMALL,
    ),
    pull_image(
        "image that says it has a terabyte",
        r"it has 1,000,000 MB, more than 0.05 MB",
        Answer(picture(), kind="image/png", headers={"Content-Length": str(10**12)}),
        settings=SMALL,
    ),
    pull_image(
        "gzip bomb",
        r"it decompresses to more than 0.05 MB \(\[images\] max_megabytes",
        packed(BOMB, "gzip"),
        settings=SMALL,
    ),
    pull_image(
        "zlib bomb",
        r"it decompresses to more than 0.05 MB",
        packed(zlib.compress(bytes(5_000_000)), "deflate"),
        settings=SMALL,
    ),
    pull_image(
        "bomb in a bomb", "compresses it in a way", packed(gzip.compress(BOMB), "gzip, gzip")
    ),
    pull_image("packed as nobody asked for", "compresses it in a way", packed(picture(), "br")),
    pull_image("packed image", "2 boxes on 2 images", packed(gzip.compress(picture()), "gzip")),
    pull_image(
        "packed image that is cut off",
        "the response is truncated",
        packed(gzip.compress(picture())[:-20], "gzip"),
    ),
    pull_image("packed, it says", "the response can't be decompressed", packed(picture(), "gzip")),
    pull_image(
        "one byte after the other",
        r"it takes more than 0.3 s \(\[images\] max_seconds",
        Answer(b"", kind="image/png", stream=drops),
        settings="[images]\nmax_seconds = 0.3\n",
    ),
    pull_image(
        "165 megapixels",
        r"it has 15000 x 11000 pixels, more than 100 megapixels .*max_megapixels",
        Answer(png_of(15000, 11000), kind="image/png"),
    ),
    pull_image(
        "more pixels than anything decodes",
        r"it has 2000000000 x 2000000000 pixels, more than",
        Answer(png_of(2 * 10**9, 2 * 10**9), kind="image/png"),
        settings="[images]\nmax_megapixels = 1000\n",
    ),
    pull_image("no pixels", "whose image is unreadable", Answer(png_of(0, 10), kind="image/png")),
    pull_image(
        "limit that no decoder has",
        r"images.max_megapixels = 5000.* less than or equal to 1000",
        settings="[images]\nmax_megapixels = 5000\n",
        status=1,
    ),
]

NOT_ALLOWED = left_out("whose image is on a host that is not allowed")
HOSTS = [
    *(
        pull_image(
            f"image on {host}", NOT_ALLOWED + r".*add \S+:8111\" to \[images\] allow_hosts",
            image=f"http://{host}:8111/x.png",
        )
        for host in (
            "127.0.0.1", "localhost", "[::1]", "0.0.0.0", "10.0.0.1", "192.168.1.1",
            "169.254.169.254", "100.64.0.1", "[fe80::1]", "[fd00::1]", "224.0.0.1",
            "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "2130706433", "0x7f000001", "127.1",
        )
    ),
    pull_image("image on 0177.0.0.1", "left out 1 of 2", image="http://0177.0.0.1:8111/x.png"),
    pull_image(
        "password for a port in a redirect", r"^(?!.*hunter2).*left out 1 of 2",
        redirect("http://me:hunter2/x.png"),
    ),
    pull_image("redirect to a metadata service", NOT_ALLOWED, redirect("http://169.254.169.254/")),
    pull_image("image: redirect to another port", NOT_ALLOWED, redirect("//127.0.0.1:8111/x.png")),
    pull_image("image: redirect to a file", "file:/+etc/passwd is not a web address",
               redirect("file:///etc/passwd")),
    pull_image("redirect to nowhere", "redirects to an invalid address", redirect("http://[::1")),
    pull_image("redirect in a circle", "redirects more than 10 times", redirect(BAD)),
    pull_image("redirect on the same host", "2 boxes on 2 images", redirect("/images/7.png", 307)),
    pull_image(
        "host that the settings allow", "whose image's host can't be reached",
        image="http://127.0.0.1:9/x.png", settings='[images]\nallow_hosts = ["127.0.0.1:9"]\n',
    ),
    pull_image(
        "another port than the settings allow", NOT_ALLOWED, image="http://127.0.0.1:9/x.png",
        settings='[images]\nallow_hosts = ["127.0.0.1:10"]\n',
    ),
    pull_image(
        "network that the settings allow", "whose image's host can't be reached",
        image="http://127.0.0.1:9/x.png", settings='[images]\nallow_hosts = ["127.0.0.0/8"]\n',
    ),
    pull_image(
        "allowed host with a scheme", r"allow_hosts: invalid host 'http://10.0.0.1': write",
        settings='[images]\nallow_hosts = ["http://10.0.0.1"]\n', status=1,
    ),
]  # fmt: skip

ADDRESSES = [
    pull_image(
        "password in a link", r"^(?!.*hunter2).*http://127.0.0.1:8111/x.png is missing",
        image="http://me:hunter2@127.0.0.1:8111/x.png",
    ),
    pull_image(
        "password with a slash in a link", r"^(?!.*hunter2).*x.png is missing",
        image="http://me:hunter2/x@127.0.0.1:8111/x.png",
    ),
    pull_image(
        "signature in a link", r"^(?!.*hunter2).*http://127.0.0.1:8111/x.png is missing",
        image="http://127.0.0.1:8111/x.png?X-Amz-Signature=hunter2#hunter2",
    ),
    pull_image(
        "password in a redirect", r"^(?!.*hunter2).*left out 1 of 2",
        redirect("http://me:hunter2@127.0.0.1:8111/x?sig=hunter2"),
    ),
    pull_image(
        "password in an address that is none", r"^(?!.*hunter2).*left out 1 of 2",
        image="http://me:hunter2@[::1",
    ),
    pull_image("address without end", left_out("whose image has an address that can't be fetched"), image="http://[::1"),
    pull_image("address with a huge port", "left out 1 of 2", image="http://h.example:99999/x.png"),
    pull_image("address with spaces", "left out 1 of 2", image="http://not a host/x.png"),
    pull_image("host that nobody has", "unknown host no-such-host.invalid",
               image="http://no-such-host.invalid/x.png"),
    pull_image("host with a label of 70 letters", "left out 1 of 2",
               image=f"http://{'a' * 70}.example/x.png"),
    pull_image("address of 100,000 letters", "left out 1 of 2",
               image=f"http://h.example/{'a' * 100_000}"),
    pull_image("terminal codes in an address", "left out 1 of 2",
               image="http://127.0.0.1:8111/\x1b]0;x\x07\x9b31m.png"),
    pull_image("half a character in an address", "left out 1 of 2",
               image="http://127.0.0.1:8111/\ud800.png"),
    pull_image("lines in an address", "left out 1 of 2",
               image="http://127.0.0.1:8111/a\nerror: b\n.png"),
    pull_image("file of this machine", left_out("whose image has an address that can't be fetched"),
               image="file:///etc/passwd"),
    pull_image("address of another protocol", "sparsedet fetches", image="ftp://h.example/x.png"),
    pull_image("address without scheme", "sparsedet fetches", image="//127.0.0.1/x.png"),
    pull_image("storage that is not connected", "s3://bucket/a b.png is missing: .*status 404",
               image="s3://bucket/a b.png"),
    pull_image("empty address", r"whose data names no image .*\(found an empty text\)", image=" "),
    pull_image("no address", r"\(found nothing\)", image=None),
    pull_image("list of addresses", r"\(found a list\)", image=["/a.png", "/b.png"]),
    pull_image("number for an address", r"\(found a number\)", image=7),
    pull_image("localhost for 127.0.0.1", "2 boxes on 2 images", PNG,
               image="http://localhost:PORT/bad/image.png"),
    pull_image("path out of the folder", "2 boxes on 2 images", PNG,
               image="/bad/image.png/%2e%2e%2f..%5cevil.png"),
    pull_image("image in its address", "2 boxes on 2 images",
               image=f"data:image/png;base64,{base64.b64encode(picture()).decode()}"),
    pull_image("address with a broken image", r"data:image/png;base64,\.\.\. is missing",
               image="data:image/png;base64,AAAA"),
    pull_image("address that is no base64", "not valid base64", image="data:image/png;base64,A*B?"),
    pull_image("address with an image over the limit", "max_megabytes",
               image=f"data:image/png;base64,{'A' * 100_000}", settings=SMALL),
    pull_image("data link without content", "no comma", image="data:image/png;base64"),
]  # fmt: skip

CONTENTS = [
    pull_image("login page for an image", r"not a readable image \(text/html\)", page()),
    pull_image("nothing for an image", "not a readable image", Answer(b"", kind="image/png")),
    pull_image("no content", "not a readable image", Answer(b"", 204, "image/png")),
    pull_image("vector image", "not a readable image", Answer(SVG, kind="image/svg+xml")),
    pull_image("program for an image", "not a readable image", Answer(EPS, kind="image/eps")),
    pull_image("missing image", r"is not at its address .*status 404",
               Answer(b"", 404, "text/plain")),
    pull_image("image that nobody asked for changes of", "status 304", Answer(b"", 304)),
    pull_image("image that breaks off", "the connection was interrupted",
               Answer(picture()[:50], kind="image/png", headers={"Content-Length": "99999"})),
    pull_image("terminal codes in a media type", r"\(image/x\)",
               Answer(b"?", kind="image/x\x9b31m")),
]  # fmt: skip


def many_bad(name: str, says: str, settings: str, bad: int, good: int, status: int) -> Case:
    """Return the case of a project with many tasks without an image."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        pull_image(name, says, settings=settings).prepare(folder, server)
        tasks = [*(task(1 + n, "") for n in range(bad)), *(task(100 + n) for n in range(good))]
        server.answers[EXPORT] = json_answer(tasks)
        return PULL

    return Case(name, prepare, says, status)


MANY = [
    many_bad("all images are bad", "error: task 1: .*; of 4 tasks 4 can't be read: 4 whose data",
             "", 4, 0, 1),
    many_bad("most images are bad", r"of 6 tasks 4 can't be read: .*up to 20% of them may be left "
             r"out \(\[source\] skip_share", "", 4, 2, 1),
    many_bad("as many bad images as may be", r"left out 4 of 6 tasks: 4 whose data names no image "
             r"\(tasks 1, 2, 3, 4\)", "skip_share = 0.7\n", 4, 2, 0),
    many_bad("no bad image is allowed", "error: task 1: its data has no image",
             "skip_unreadable = false\n", 1, 5, 1),
    pull_image("only image", "error: task 1: its image /bad/image.png is missing",
               Answer(b"", 404), others=0, status=1),
]  # fmt: skip


def with_cache(name: str, says: str, files: Mapping[str, bytes]) -> Case:
    """Return the case of a workspace whose image cache was damaged."""

    def prepare(folder: Path, server: OddServer) -> Arguments:
        for file, content in files.items():
            path = folder / "workspace" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return PULL

    return Case(name, prepare, says, 0)


CACHES = [
    with_cache("half a file in the cache", "2 boxes on 2 images",
               {"images/1-1.png": picture()[:60], "images/2-2.png": b""}),
    with_cache("index of the cache that is none", "2 boxes on 2 images",
               {"images/1-1.png": picture(), "images.index.json": b"\xff{"}),
    with_cache("index of the cache with other things in it", "2 boxes on 2 images",
               {"images/1-1.png": picture(),
                "images.index.json": b'{"version": 1, "images": {"1-1.png": [1, 2]}}'}),
    with_cache("half-written files in the cache", "2 boxes on 2 images",
               {"images/.1-1.png.77.tmp": b"half", "images/.2-2.png.78.tmp": b""}),
]  # fmt: skip

CASES = [*LIMITS, *HOSTS, *ADDRESSES, *CONTENTS, *MANY, *CACHES]

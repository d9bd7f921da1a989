"""The latency of a live backend under many simultaneous requests.

    python benchmarks/serve.py [--requests N] [--workers N] [--iterations N] [--run RUN] [-o FILE]

Trains a small model for a few iterations (or uses RUN), serves it with `sparsedet serve`, and sends
N simultaneous prediction requests, each for another image that is downloaded from a small local
server. Meanwhile it polls `/health` and `/setup`, which have to respond within 1 s and 3 s. Label
Studio waits 100 s for a prediction. Prints the figures as a table.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import httpx

from sparsedet.annotations import write_coco
from sparsedet.atomic_io import write_text
from sparsedet.integrations.label_studio.demo.project_setup import labelling_config
from sparsedet.simulation.scenes import make_scenes
from sparsedet.wording import counted

SECRET = "of a benchmark"
AUTH = ("sparsedet", SECRET)
LIMITS = {"predict": 100.0, "setup": 3.0, "health": 1.0}
"""Label Studio's timeout in seconds."""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--run", type=Path, help="a run folder of digits, instead of a training")
    parser.add_argument("-o", "--output", type=Path, help="write the table to this file, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        dataset = make_scenes(options.requests, folder / "images", seed=1)
        write_coco(dataset, folder / "train.json")
        run = options.run or train(folder, options.iterations)
        config = labelling_config([category.name for category in dataset.categories])
        names = [image.file_name for image in dataset.images]
        with images(folder / "images") as server, serving(run, server, options.workers) as url:
            found = measure(url, names, config)
    text = table(found, options)
    print(text)
    if options.output:
        write_text(options.output, text)


def train(folder: Path, iterations: int) -> Path:
    """Train a model that is only good for timing."""
    words = ["train", "--train", "train.json", "--images", "images", "-o", "run"]
    words += ["--method", "plain", "SOLVER.MAX_ITER", str(iterations), "SOLVER.WARMUP_ITERS", "5"]
    subprocess.run([sys.executable, "-m", "sparsedet", *words], cwd=folder, check=True)
    return folder / "run"


class _Images(SimpleHTTPRequestHandler):
    """Serves a folder's files, and records each connection's first request."""

    def do_GET(self) -> None:
        if not self.path.startswith("/api/"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"id": 1}')
        return None

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def images(folder: Path) -> Iterator[str]:
    """Serve a folder during the block; yield the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Images, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def serving(run: Path, server: str, workers: int) -> Iterator[str]:
    """Serve a run during the block; yield the address once it answers."""
    env = {**os.environ, "LABEL_STUDIO_URL": server, "LABEL_STUDIO_API_KEY": "none"}
    env |= {"SPARSEDET_SERVE_SECRET": SECRET}
    words = ["serve", str(run), "--port", "0", "--workers", str(workers)]
    with subprocess.Popen(
        [sys.executable, "-m", "sparsedet", *words], env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"at (http://[\d.:]+),", line):
                break
        else:
            raise SystemExit("the server did not start")
        while not is_up(found[1]):
            time.sleep(0.2)
        try:
            yield found[1]
        finally:
            process.send_signal(signal.SIGINT)


def is_up(url: str) -> bool:
    """Whether the server answers."""
    try:
        return httpx.get(f"{url}/health", auth=AUTH).is_success
    except httpx.HTTPError:
        return False


def measure(url: str, names: list[str], config: str) -> dict[str, list[float]]:
    """Return the seconds of each request by kind; `alone` is a single prediction."""

    def predict(number: int) -> float:
        task = {"id": number + 1, "data": {"image": "/" + names[number]}, "annotations": []}
        body = {"tasks": [task], "project": "1.1", "label_config": config}
        start = time.monotonic()
        answer = client.post("/predict", json=body)
        answer.raise_for_status()
        return time.monotonic() - start

    # Created once: loading certificates takes time that is not the server's.
    client = httpx.Client(
        base_url=url,
        auth=AUTH,
        timeout=LIMITS["predict"],
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
    )
    found: dict[str, list[float]] = {"alone": [predict(0) for _ in range(4)][1:]}
    found |= {"setup": [], "health": []}
    ended = Event()

    def ask() -> None:
        while not ended.wait(0.2):
            for kind, method in (("setup", "POST"), ("health", "GET")):
                start = time.monotonic()
                client.request(method, f"/{kind}").raise_for_status()
                found[kind].append(time.monotonic() - start)

    asking = Thread(target=ask)
    asking.start()
    try:
        with ThreadPoolExecutor(len(names)) as pool:
            found["predict"] = list(pool.map(predict, range(len(names))))
    finally:
        ended.set()
        asking.join()
    return found


def table(found: dict[str, list[float]], options: argparse.Namespace) -> str:
    """Return the figures as a table."""
    lines = [
        f"{counted(options.requests, 'prediction')} at once, {counted(options.workers, 'worker')}, "
        f"{counted(len(os.sched_getaffinity(0)), 'core')}; seconds",
        "",
        "| request | number | median | slowest | limit |",
        "|---|---|---|---|---|",
    ]
    for kind in ("alone", "predict", "setup", "health"):
        seconds = found[kind]
        limit = LIMITS.get(kind, LIMITS["predict"])
        lines.append(
            f"| {kind} | {len(seconds)} | {statistics.median(seconds):.2f} | {max(seconds):.2f} | "
            f"{limit:.0f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

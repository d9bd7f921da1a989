"""Memory copied by image-loading processes: with a Python list, and with packed arrays.

    python benchmarks/loader_memory.py [--images N] [--boxes N] [--workers N] [--seed N]

Makes annotations with COCO's statistics (see coco_sized.py). A process holds the training images
and forks others, which read all of them twice. Then the kernel reports each one's private memory
(`Private_Dirty`), and its share of all that it uses (`Pss`). `list`: a list of images. `packed`: as
in training, with inherited memory hidden from the garbage collector, as in the loader. `nothing`:
processes that read no image. Linux only; prints the table, and writes it to
benchmarks/results/loader.
"""

import argparse
import gc
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson
from coco_sized import make_coco

from sparsedet.annotations.coco import from_coco
from sparsedet.atomic_io import write_json, write_text
from sparsedet.training.data.packed_dataset import PackedDataset, TrainingImage
from sparsedet.training.data.samples import training_images

RESULTS = Path(__file__).parent / "results" / "loader"
KINDS = ("list", "packed", "nothing")
FIELDS = ("Private_Dirty", "Pss")
READINGS = 2

Memory = dict[str, float]
"""MiB, by the kernel's name."""


def main() -> None:
    """Print and save the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--boxes", type=int, default=727_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--kind", choices=KINDS, help="measure this one alone, and print it as JSON"
    )
    options = parser.parse_args()
    if options.kind:
        print(orjson.dumps(measure(options)).decode())
        return
    # Each in a separate process, so that one kind leaves nothing for the next.
    found: dict[str, list[Memory]] = {
        kind: orjson.loads(subprocess.check_output([sys.executable, *sys.argv, "--kind", kind]))
        for kind in KINDS
    }
    text = table(options, found)
    print(text)
    write_text(RESULTS / "memory.md", text)
    write_json(RESULTS / "memory.json", vars(options) | {"mib_of_processes": found}, indent=1)


def measure(options: argparse.Namespace) -> list[Memory]:
    """Return the memory of every process that has read the images."""
    images = held(options)
    gc.collect()
    fork = get_context("fork")
    together, queue = fork.Barrier(options.workers), fork.Queue()
    workers = [
        fork.Process(target=read, args=(images, together, queue)) for _ in range(options.workers)
    ]
    for worker in workers:
        worker.start()
    memory = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    return memory


def held(options: argparse.Namespace) -> Sequence[TrainingImage]:
    """Return the images, held as `--kind` says."""
    content = make_coco(options.images, options.boxes, options.seed)
    dataset = from_coco(content, source="generated")
    images = training_images(dataset, Path("images"), keep_unlabelled=True)
    if options.kind == "packed":
        return images
    if options.kind == "nothing":
        return ()
    return [
        replace(
            image,
            boxes=image.boxes.copy(),
            classes=image.classes.copy(),
            roles=image.roles.copy(),
        )
        for image in images
    ]


def read(images: Sequence[TrainingImage], together: Any, queue: Any) -> None:
    """Read all images, and report this process's memory."""
    if isinstance(images, PackedDataset):
        gc.freeze()
    for _ in range(READINGS):
        for image in images:
            assert len(image.boxes) == len(image.classes) == len(image.roles)
    # A page counts as shared only while other processes have it, too.
    together.wait()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
    together.wait()
    queue.put({name: round(kib[name] / 1024, 1) for name in FIELDS})


def table(options: argparse.Namespace, found: dict[str, list[Memory]]) -> str:
    """Return the figures as a Markdown table, and the ratio of list to packed."""
    mean = {
        kind: [sum(one[name] for one in memory) / len(memory) for name in FIELDS]
        for kind, memory in found.items()
    }
    copied = {kind: mean[kind][0] - mean["nothing"][0] for kind in ("list", "packed")}
    lines = [
        f"# Memory of each of {options.workers} processes that have read {options.images:,} images",
        "",
        f"{options.boxes:,} boxes; MiB, mean of the processes.",
        "",
        "| images held as | its own | its share of all it uses |",
        "|---|---|---|",
        *(f"| {kind} | {own:.1f} | {share:.1f} |" for kind, (own, share) in mean.items()),
        "",
        f"More than a process that has read nothing: {copied['list']:.1f} MiB of its own with the "
        f"list, {copied['packed']:.1f} MiB with packed images. In all, the list's is "
        f"{mean['list'][0] / mean['packed'][0]:.0f} times as much.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

"""The command line: sets up the project, measures in turns, and writes the table."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from sparsedet.annotations import read_coco
from sparsedet.atomic_io import write_json, write_text
from sparsedet.errors import SparseDetError
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.local_server import running_server
from sparsedet.runtime.resources import usable_cores

from .figures import Measured, as_json, rows, table
from .raw import Server, read_seconds, write_seconds
from .round_log import log_round
from .setting import Size, change_annotations, set_up
from .steps import Workspace, cost_of, mined_boxes, run_step

_RESULTS = Path(__file__).parents[1] / "results" / "label_studio"


def main(description: str | None = None, arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the table."""
    options = _options(description, arguments)
    try:
        if options.step:
            run_step(options.step, options.project, Workspace(options.work))
        elif options.work:
            _run(options, options.work.resolve())
        else:
            with TemporaryDirectory() as folder:
                _run(options, Path(folder))
    except SparseDetError as error:
        sys.exit(f"error: {error}")


def _run(options: argparse.Namespace, folder: Path) -> None:
    documents = folder / "documents"
    documents.mkdir(parents=True, exist_ok=True)
    with running_server(folder / "server", documents=documents) as local:
        # For the step processes; the key is of this server only.
        os.environ |= {"LABEL_STUDIO_URL": local.url, "LABEL_STUDIO_API_KEY": local.api_key}
        connection, server = Connection(), Server(local.url, local.api_key)
        size = Size(options.tasks, options.boxes)
        project = set_up(connection, folder, size, _progress)
        found = Measured(size)
        with TemporaryDirectory(dir=folder) as scratch:
            workspace = Workspace(Path(scratch))
            _measure_pull(options, connection, server, project, workspace, found)
            _write(found, options.results)
            _measure_push(options, connection, server, project, workspace, found)
            _write(found, options.results)
            if options.round_tasks:
                _say("a round")
                small = Size(options.round_tasks, options.round_tasks * 5)
                number = set_up(connection, folder, small, _progress)
                found.round = log_round(number, Path(scratch) / "round")
                _delete_reviews(connection)
        print(_write(found, options.results))


def _write(found: Measured, results: Path) -> str:
    """Write the measurements so far; return the table."""
    title = (
        f"{found.size.tasks} tasks with {found.size.boxes} boxes, Label Studio on SQLite, "
        f"{usable_cores()} cores"
    )
    text = table(rows(found), title)
    write_text(results / "label_studio.md", text)
    write_json(results / "label_studio.json", as_json(found), indent=1)
    return text


def _measure_pull(
    options: argparse.Namespace,
    connection: Connection,
    server: Server,
    project: int,
    workspace: Workspace,
    found: Measured,
) -> None:
    _say("first pull, with all images")
    found.first_pull = cost_of("pull", project, workspace)
    for number in range(options.repeats):
        _say(f"pull {number + 1} of {options.repeats}")
        found.reads.append(read_seconds(server, project))
        found.pulls.append(cost_of("pull", project, workspace))
    found.changed = max(found.size.tasks // 100, 1)
    _say(f"changing {found.changed} tasks")
    change_annotations(connection, project, found.changed)
    found.changed_pull = cost_of("pull", project, workspace)


def _measure_push(
    options: argparse.Namespace,
    connection: Connection,
    server: Server,
    project: int,
    workspace: Workspace,
    found: Measured,
) -> None:
    dataset = read_coco(workspace.annotations)
    mined = list(mined_boxes(dataset))
    for number in range(options.repeats):
        _say(f"push {number + 1} of {options.repeats}")
        found.writes.append(write_seconds(connection, server, dataset, mined, options.sample))
        found.pushes.append(cost_of("push", project, workspace))
        found.second_pushes.append(cost_of("push", project, workspace))
        # The next push starts from nothing.
        _delete_reviews(connection)
        workspace.ledger.unlink()


def _delete_reviews(connection: Connection) -> None:
    with connection.request("deleting review projects"):
        for project in list(connection.client.projects.list()):
            if "[sparsedet review of project" in (project.description or ""):
                connection.client.projects.delete(project.id)


def _options(description: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--boxes", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3, help="turns of everything but images")
    parser.add_argument("--sample", type=int, default=200, help="images pushed one by one")
    parser.add_argument("--round-tasks", type=int, default=1000, help="of the round; 0: none")
    parser.add_argument("--work", type=Path, help="keeps server and project for the next call")
    parser.add_argument("--results", type=Path, default=_RESULTS)
    # Options with which the script runs itself in other processes.
    parser.add_argument("--step", choices=("pull", "push"), help=argparse.SUPPRESS)
    parser.add_argument("--project", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _progress(step: str, done: int, total: int) -> None:
    if done == 0:
        _say(step)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

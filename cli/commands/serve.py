"""`sparsedet serve`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sparsedet.errors import SparseDetError
from sparsedet.live_backend import SECRET_VARIABLE, LiveOptions
from sparsedet.loop.workspace import Workspace
from sparsedet.plugins import check_project, load_live_integration
from sparsedet.wording import counted

from ..options import DEFAULT_TOOL, Device, Url, tool_option
from ..output import say


def serve(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN",
            help="Run folder of a finished training. Default: the workspace's latest finished "
            "round, switching to later rounds as they finish.",
        ),
    ] = None,
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace",
            help="Workspace: serve its latest model, and record reviews in its ledger as they are "
            "submitted.",
        ),
    ] = None,
    connect: Annotated[
        list[str] | None,
        typer.Option(
            "--connect",
            metavar="PROJECT",
            help="Add the backend to this project until the server stops. Repeatable.",
        ),
    ] = None,
    disconnect: Annotated[
        list[str] | None,
        typer.Option(
            "--disconnect",
            metavar="PROJECT",
            help="Only remove a backend that a killed server left in this project, and delete its "
            "predictions. Repeatable.",
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0: any free one.")
    ] = 9090,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            help="URL at which Label Studio reaches the server. Default: http://HOST:PORT.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=1,
            max=64,
            help="Worker processes, each with its own copy of the model.",
        ),
    ] = 1,
    device: Device = "auto",
    tool: Annotated[str, tool_option("Annotation tool to serve.")] = DEFAULT_TOOL,
    url: Url = None,
) -> None:
    """Show mined boxes in tasks as people open them.

    This is an ML backend for Label Studio: an opened task shows the annotated boxes and those that
    the model finds missing. Every request must have a secret, as password or as first part of the
    path: SPARSEDET_SERVE_SECRET, or a generated one that is printed at startup.

    For a backend on the same machine or in a private network, Label Studio needs
    ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false in its environment.
    """
    integration = load_live_integration(tool)
    for project in (*(connect or ()), *(disconnect or ())):
        check_project(tool, project)
    if disconnect:
        if run or workspace or connect:
            raise SparseDetError("--disconnect excludes RUN, --workspace and --connect")
        for project in disconnect:
            taken = integration.disconnect(url, project)
            text = f"{counted(taken.backends, 'live backend')} removed"
            if taken.predictions:
                text += f", {counted(taken.predictions, 'live prediction')} deleted"
            say(f"project {project}: {text}")
        return
    if run is None and workspace is None:
        raise SparseDetError("missing model: pass a run folder, or a workspace with --workspace")
    named_url = url is not None
    if workspace is not None:
        settings = Workspace(workspace).settings()
        if settings.source.tool != tool:
            raise SparseDetError(
                f"{workspace}: its annotations are in {settings.source.tool}, not in {tool}"
            )
        url = url or settings.source.url
    from sparsedet.loop.live_model import find_served_run
    from sparsedet.training.engine.train import choose_device

    # Before the server's key is asked for.
    served = find_served_run(run, None if workspace is None else Workspace(workspace)).run
    served.info()
    served.finished_model()
    options = LiveOptions(
        run,
        workspace,
        choose_device(device),
        host,
        port,
        address,
        workers,
        tuple(connect or ()),
        os.environ.get(SECRET_VARIABLE) or None,
        named_url,
    )
    integration.serve(url, options, say)

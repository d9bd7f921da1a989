"""Image files that we upload to the server."""

import mimetypes
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sparsedet.push_modes import Progress

from .client.answers import OddAnswerError, identifier, text
from .client.connection import Connection

FILES_PER_REQUEST = 100
"""Files per request; Django refuses more with status 500."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file of a project."""

    id: int
    address: str
    """Address, as used in tasks."""


def upload_files(
    connection: Connection, project: int, files: Sequence[Path], what: str, progress: Progress
) -> list[str]:
    """Upload image files; return their addresses for tasks, in the same order.

    Args:
        connection: to the server.
        project: number of the project.
        files: the files.
        what: names the step.
        progress: called after every batch.
    """
    if not files:
        return []
    ids: list[int] = []
    for batch in _batches(files):
        progress(what, len(ids), len(files))
        with ExitStack() as stack:
            # One field name per file: the server keeps only the last file of a name.
            form = {
                f"file{index}": (path.name, stack.enter_context(path.open("rb")), _mime(path))
                for index, path in enumerate(batch)
            }
            step = f"{what} to project {project}"
            answer = connection.post_files(
                f"api/projects/{project}/import", {"commit_to_project": False}, form, step
            )
        made = answer.get("file_upload_ids")
        if not isinstance(made, list) or len(made) != len(batch):
            raise OddAnswerError(step, f"it should contain {len(batch)} file ids")
        ids += made
    progress(what, len(ids), len(files))
    uploads = {upload.id: upload.address for upload in list_uploads(connection, project)}
    if missing := [id for id in ids if id not in uploads]:
        raise OddAnswerError(f"{what} to project {project}", f"file {missing[0]} is missing")
    return [uploads[id] for id in ids]


def list_uploads(connection: Connection, project: int) -> list[Upload]:
    """Return all files that were uploaded to a project."""
    what = f"listing the uploads of project {project}"
    found = connection.get_objects(f"api/projects/{project}/file-uploads", {"all": True}, what)
    return [Upload(identifier(file, what), f"/data/{text(file, 'file', what)}") for file in found]


def delete_upload(connection: Connection, upload: Upload, what: str) -> None:
    """Delete a file; `what` names the step."""
    connection.delete(f"api/import/file-upload/{upload.id}", what)


def _batches(files: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(files), FILES_PER_REQUEST):
        yield files[start : start + FILES_PER_REQUEST]


def _mime(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"

"""Images of contact sheets on the server: uploaded once, named by content, removed if unused."""

from collections.abc import Iterable, Mapping, Sequence

from sparsedet.push_modes import Progress
from sparsedet.sheets import SheetFile
from sparsedet.sheets.as_images import LAYOUT

from ..client.connection import Connection
from ..review_project.review_tasks import ReviewTask
from ..uploads import Upload, delete_upload, list_uploads, upload_files
from .sheet_config import TITLE_KEY

_PREFIX = "sheet-"


def addresses_of(
    connection: Connection,
    review: int,
    sheets: Sequence[SheetFile],
    tasks: Iterable[ReviewTask],
    data_key: str,
    progress: Progress,
) -> dict[str, Mapping[str, object]]:
    """Return task data by sheet name, uploading missing images.

    Args:
        connection: to the server.
        review: number of the review project for sheets.
        sheets: in order.
        tasks: tasks of that project.
        data_key: key of the image's address in the data.
        progress: called for uploads.
    """
    addresses = {task.source_task: str(task.data.get(data_key)) for task in tasks}
    missing = [file for file in sheets if file.sheet.name not in addresses]
    if missing:
        # An interrupted push may have uploaded some.
        there = {_sheet_of(upload): upload.address for upload in list_uploads(connection, review)}
        new = [file for file in missing if file.sheet.name not in there]
        uploaded = upload_files(
            connection, review, [file.path for file in new], "uploading contact sheets", progress
        )
        addresses |= {file.sheet.name: there.get(file.sheet.name, "") for file in missing}
        addresses |= {file.sheet.name: at for file, at in zip(new, uploaded, strict=True)}
    return {
        file.sheet.name: {
            data_key: addresses[file.sheet.name],
            LAYOUT: file.sheet.to_json(),
            TITLE_KEY: f"{file.sheet.category} ({len(file.sheet.crops)})",
        }
        for file in sheets
    }


def remove_unused(connection: Connection, review: int, tasks: Iterable[ReviewTask]) -> None:
    """Delete images of sheets that no task shows any more."""
    used = {task.source_task for task in tasks}
    for upload in list_uploads(connection, review):
        name = _sheet_of(upload)
        if name and name not in used:
            delete_upload(connection, upload, f"deleting a contact sheet of project {review}")


def _sheet_of(upload: Upload) -> str:
    """Return the name of the sheet that a file shows, or "".

    The server adds a random prefix to file names.
    """
    stem = upload.address.rpartition("/")[2].rpartition(".")[0]
    _, found, digest = stem.rpartition(_PREFIX)
    return f"{_PREFIX}{digest}" if found else ""

"""Links to images in the annotation tool, computed without a connection."""

from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urlsplit

from sparsedet.ledger import Ledger, LedgerBox, Source
from sparsedet.loop.last_reading import LastReading, last_reading
from sparsedet.loop.workspace import Workspace
from sparsedet.plugins import image_address

_NO_TASKS: Mapping[str, str] = {}


class TaskLinks:
    """Addresses of images in the annotation tool; empty if a browser can't open any.

    Args:
        source: the annotated project; None: unknown.
        reading: the last reading of reviews, with the images' places.
    """

    def __init__(self, source: Source | None, reading: LastReading | None = None) -> None:
        self._source = source
        self._reading = reading

    @classmethod
    def of_workspace(cls, workspace: Workspace) -> "TaskLinks":
        """Return the links of a workspace, from its settings and ledger, if it has them.

        Raises:
            SparseDetError: when one of them is broken.
        """
        source, pushed_from, reading = None, list[Source](), None
        if workspace.settings_file.is_file():
            own = workspace.settings().source
            source = Source(own.tool, own.url, own.project)
        if workspace.ledger.is_file():
            with closing(Ledger(workspace.ledger)) as ledger:
                pushed_from = ledger.sources()
            reading = last_reading(workspace.ledger)
        # The ledger has the server's current address.
        same = (
            one
            for one in reversed(pushed_from)
            if source is None or (one.tool, one.project) == (source.tool, source.project)
        )
        return cls(next(same, source), reading)

    def of_image(self, tool_id: str | None) -> str:
        """Return the address of an image in the annotated project."""
        if self._source is None or tool_id is None:
            return ""
        return _address(self._source, self._source.project, tool_id)

    def of_box(self, box: LedgerBox) -> str:
        """Return the address where a mined box's image is reviewed, else where it is annotated."""
        place = box.push.place
        read = self._reading.of(place) if self._reading and not box.push.gone else None
        task = (read.tasks if read else _NO_TASKS).get(box.image_tool_id)
        if task is None:
            return _address(place.source, place.project, box.image_tool_id)
        return _address(place.source, place.review_project, task)


def _address(source: Source, project: str, tool_id: str) -> str:
    return web_address(image_address(source.tool, source.url, project, tool_id))


def web_address(address: str) -> str:
    """Return an address that is safe in a page; empty for anything but plain http(s).

    Excludes paths, scripts, and addresses with credentials, which would be shared with the page.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    is_web = parts.scheme in ("http", "https") and parts.hostname
    return address if is_web and "@" not in parts.netloc else ""

"""Files: annotations in, mined boxes out, reviewed COCO in; the loop without a server."""

from .files_tool import FilesTool

__all__ = ["FilesTool"]

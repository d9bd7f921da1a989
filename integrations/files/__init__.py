"""Files: annotations in, mined boxes out, reviewed COCO in; the loop without any server."""

from .tool import FilesTool

__all__ = ["FilesTool"]

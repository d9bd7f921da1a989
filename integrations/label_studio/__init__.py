"""Label Studio: pull annotations, push mined boxes into a review project, read the reviews."""

from .label_studio_tool import LabelStudioTool

__all__ = ["LabelStudioTool"]

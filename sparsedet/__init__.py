"""Sparse annotations in, a detector that is not misled by them out, missed boxes back."""

__version__ = "0.1.0"

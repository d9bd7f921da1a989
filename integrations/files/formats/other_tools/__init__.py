"""Formats of other tools, each with a small reader."""

"""Formats that other tools write and sparsedet reads, each by a small reader of its own."""

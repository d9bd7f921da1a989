"""Garbage collection with many live objects."""

import gc

import pytest

from sparsedet.runtime.garbage import few_collections


def test_collections_are_rare_only_in_the_block() -> None:
    before = gc.get_threshold()
    with few_collections(), few_collections():
        assert gc.get_threshold()[0] > 100 * before[0] > 0
    assert gc.get_threshold() == before


def test_errors_end_it() -> None:
    before = gc.get_threshold()

    @few_collections()
    def fail() -> None:
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        fail()
    assert gc.get_threshold() == before

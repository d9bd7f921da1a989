"""Removal rules and recipes: from a fully annotated dataset to a sparse one."""

"""Removal recipes as package data; `sparsedet.sparsify.recipe` finds them by name."""

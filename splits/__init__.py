"""Removal recipes and the published split files, as package data.

`sparsedet.sparsify.recipe` finds recipes by name; `sparsedet.data_sources` reads `paper.yaml`.
"""

"""Labelling configs: which images and labels they define, and the config of review projects."""

"""Augmentation: scale jitter, copy-paste, and the colour jitter of the second view."""

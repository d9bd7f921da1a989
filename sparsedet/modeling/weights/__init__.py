"""Initial weights of a training: sources, formats, and compatibility."""

"""The commands: one per file, or in several files that only it uses."""

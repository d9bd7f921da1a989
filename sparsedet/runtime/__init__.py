"""The machine that a command runs on: processes, threads, memory, and files that can't be read."""

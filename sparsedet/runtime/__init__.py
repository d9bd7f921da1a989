"""The machine of a command: processes, threads, memory, and unreadable files."""

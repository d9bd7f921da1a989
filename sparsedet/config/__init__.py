"""Training configurations: where they are read from, and what their keys may hold."""

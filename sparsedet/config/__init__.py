"""Training configurations: reading, and the valid values of their keys."""

"""Training configurations as package data; `sparsedet.config` finds them by name."""

"""Training configurations as package data; `sparsedet.training.settings` finds them by name."""

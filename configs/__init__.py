"""Training configurations as package data, found by name in `training.config.loading`."""

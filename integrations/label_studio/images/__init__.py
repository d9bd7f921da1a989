"""Images of tasks: addresses, downloads, and the cache."""

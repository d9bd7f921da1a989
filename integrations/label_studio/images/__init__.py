"""Images of tasks: where they are, how they are fetched, and the cache they are kept in."""

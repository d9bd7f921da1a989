"""Active annotation: workspaces, their settings, and the rounds that run in them."""

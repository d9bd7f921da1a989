"""Hostile and broken input: every case is one line of error, or counted and left out."""

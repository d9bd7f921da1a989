"""Hostile and broken input: every case gives one line of error, or is counted and left out."""

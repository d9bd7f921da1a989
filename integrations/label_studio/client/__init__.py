"""Requests to the server: where the key may go, and what answers must hold."""

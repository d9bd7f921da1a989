"""Weights that training starts from: where they come from, what they are made of, what they fit."""

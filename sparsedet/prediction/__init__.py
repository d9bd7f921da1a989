"""Use a trained detector: images in, boxes out."""

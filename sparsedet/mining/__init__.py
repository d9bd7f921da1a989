"""From a trained model to mined boxes: detect, match, calibrate, rank. Import the modules."""

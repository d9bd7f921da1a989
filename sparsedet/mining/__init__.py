"""From a checkpoint to mined boxes: detect, match, calibrate, rank. Import the modules directly."""

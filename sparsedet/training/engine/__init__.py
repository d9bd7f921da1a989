"""The training loop: runs, stages, iterations, checkpoints and resuming."""

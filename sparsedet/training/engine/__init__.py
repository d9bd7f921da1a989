"""The training loop: runs, stages, iterations, checkpoints and resume."""

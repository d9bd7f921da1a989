"""Average precision, and the figure that the best checkpoint is chosen by."""

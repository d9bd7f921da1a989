"""Average precision, and the metric that selects the best checkpoint."""

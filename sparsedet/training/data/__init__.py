"""From annotations to the batch of an iteration."""

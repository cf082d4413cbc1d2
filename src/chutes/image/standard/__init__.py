"""References of ready images, one module for each family of models."""

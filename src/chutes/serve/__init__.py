"""From a chute to a running process."""

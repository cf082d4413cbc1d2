"""A load generator: how many calls a second a running chute answers, and how long they take."""

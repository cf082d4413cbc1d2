"""A Ray cluster on one machine, for trying what a real one does."""

from chutes.deploy.cluster.state import Address, local_cluster

__all__ = ["Address", "local_cluster"]

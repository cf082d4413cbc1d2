"""The definition of a chute: what a user writes."""

from chutes.chute.batch import Batch
from chutes.chute.chute import Chute, ChutePack
from chutes.chute.cord import Cord
from chutes.chute.job import Job
from chutes.chute.node_selector import NodeSelector

__all__ = ["Batch", "Chute", "ChutePack", "Cord", "Job", "NodeSelector"]

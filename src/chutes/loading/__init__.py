"""From a reference on the command line to a chute, with errors that say whose import failed."""

from chutes.loading.load import LoadedChute, is_loading, load, load_chute
from chutes.loading.reference import Place, locate

__all__ = ["LoadedChute", "Place", "is_loading", "load", "load_chute", "locate"]

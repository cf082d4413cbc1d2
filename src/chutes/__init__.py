"""Turn one Python file into a served AI application."""

__version__ = "0.1.0"

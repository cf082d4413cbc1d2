"""Functions that return a ready chute."""

__all__: list[str] = []

"""Where the weights of a model come from: a folder, a GGUF file, or the hub and its cache."""

__all__: list[str] = []

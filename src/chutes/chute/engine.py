"""Which model a chute serves through an engine of its own, and how."""

from dataclasses import dataclass
from typing import Literal

from chutes.errors import DefinitionError

__all__ = ["EngineSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """A model server that the chute starts beside itself.

    Attributes:
        model_name: a folder, a `.gguf` file, or a name on the model hub such as `Qwen/Qwen3-0.6B`.
        engine: the server: `auto`, `vllm`, `sglang`, `llamacpp` or `transformers`.
        task: what the model does: `generate` text, or `embed` it.
        arguments: further command line arguments of the engine, as it knows them.
        python: the interpreter of the environment that has the engine; None: this one.
        revision: branch, tag or commit of the model on the hub.
        served_name: what callers write as `model`; empty: the model's name.
    """

    model_name: str
    engine: str = "auto"
    task: Literal["generate", "embed"] = "generate"
    arguments: tuple[str, ...] = ()
    python: str | None = None
    revision: str | None = None
    served_name: str = ""

    def __post_init__(self) -> None:
        if not self.model_name.strip():
            raise DefinitionError(
                f"Invalid model_name {self.model_name!r}. Write a folder, a .gguf file, or a name on the hub such as "
                "'Qwen/Qwen3-0.6B'."
            )
        if not self.served_name:
            object.__setattr__(self, "served_name", self.model_name)

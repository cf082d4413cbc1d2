"""Which model a chute serves through an engine of its own, and how."""

from dataclasses import dataclass
from typing import Literal

from chutes.errors import DefinitionError
from chutes.suggestions import did_you_mean

__all__ = ["ENGINES", "EngineSpec", "Task"]

Task = Literal["generate", "embed"]

ENGINES = ("vllm", "sglang", "llamacpp", "transformers")
"""The engines, by the names that `engine=` takes beside `auto`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """A model server that the chute starts beside itself.

    Attributes:
        model_name: a folder, a `.gguf` file, or a name on the model hub such as `Qwen/Qwen3-0.6B`.
        engine: the server: `auto`, `vllm`, `sglang`, `llamacpp` or `transformers`.
        task: what the model does: `generate` text, or `embed` it.
        arguments: further command line arguments of the engine, as it knows them.
        arguments_for: whose command line the arguments are written for. `auto` tries that engine first; where it takes
            another one, it has to leave out, and to name, those that it cannot say in the other's words.
        python: the interpreter of the environment that has the engine; None: this one.
        revision: branch, tag or commit of the model on the hub.
        served_name: what callers write as `model`; empty: the model's name.
        aliases: further names that callers may write as `model`.
        gpus: over how many GPUs the model is spread, where there are that many.
    """

    model_name: str
    engine: str = "auto"
    task: Task = "generate"
    arguments: tuple[str, ...] = ()
    arguments_for: str = "vllm"
    python: str | None = None
    revision: str | None = None
    served_name: str = ""
    aliases: tuple[str, ...] = ()
    gpus: int = 1

    def __post_init__(self) -> None:
        if not self.model_name.strip():
            raise DefinitionError(
                f"Invalid model_name {self.model_name!r}. Write a folder, a .gguf file, or a name on the hub such as "
                "'Qwen/Qwen3-0.6B'."
            )
        if self.engine not in ("auto", *ENGINES):
            raise DefinitionError(
                f"Unknown engine {self.engine!r}.{did_you_mean(self.engine, ENGINES)} "
                f"Write 'auto', or one of {', '.join(ENGINES)}."
            )
        if not self.served_name:
            object.__setattr__(self, "served_name", self.model_name)

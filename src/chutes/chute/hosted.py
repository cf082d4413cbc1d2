"""A chute that serves a model: its engine, and the cords that lead to it."""

from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from chutes.chute.cord import Cord, make_cord
from chutes.chute.engine import EngineSpec
from chutes.chute.engine_arguments import engine_words, take_served_names
from chutes.errors import DefinitionError
from chutes.suggestions import did_you_mean

if TYPE_CHECKING:
    from chutes.chute.config import ChuteConfig

__all__ = ["TEMPLATES", "engine_cords", "engine_spec", "is_engine_cord", "own_name"]

TEMPLATES = ("vllm", "sglang", "embedding")
"""The templates that `standard_template=` names together with `model_name=`."""

_TAG = "OpenAI"
_GGUF = ".gguf"
_MESSAGES = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}


def engine_spec(config: "ChuteConfig") -> EngineSpec | None:
    """The engine that the constructor's values ask for; None without `model_name`.

    Raises:
        DefinitionError: one of them cannot be.
    """
    if config.model_name is None:
        for option, unset in (("engine", "auto"), ("engine_args", None), ("engine_python", None)):
            if getattr(config, option) != unset:
                raise DefinitionError(f"{option}= is about the engine of a model: give model_name= too.")
        return None
    template = config.standard_template or "vllm"
    if template not in TEMPLATES:
        raise DefinitionError(
            f"No template {template!r} serves a model.{did_you_mean(template, TEMPLATES)} With model_name=, "
            f"standard_template is one of {', '.join(TEMPLATES)}."
        )
    preferred = "sglang" if template == "sglang" else "vllm"
    engine = preferred if config.engine == "auto" else config.engine
    names, words = take_served_names(engine_words(config.engine_args, engine))
    names = names or (own_name(config.model_name),)
    return EngineSpec(
        model_name=config.model_name,
        engine=config.engine,
        task="embed" if template == "embedding" else "generate",
        arguments=words,
        arguments_for=engine,
        python=config.engine_python,
        revision=config.revision,
        served_name=names[0],
        aliases=names[1:],
        gpus=max(1, config.node_selector.gpu_count) if config.node_selector else 1,
    )


def engine_cords(spec: EngineSpec) -> Iterator[Cord]:
    """The cords that lead to the engine, on the paths of the OpenAI API and of vLLM."""
    if spec.task == "embed":
        yield _cord(embed, "/v1/embeddings", {"input": "The cat sits on the mat."})
    else:
        yield _cord(chat, "/v1/chat/completions", _MESSAGES)
        yield _cord(completion, "/v1/completions", {"prompt": "The capital of France is"})
        yield _cord(do_tokenize, "/tokenize", {"prompt": "The capital of France is"})
        yield _cord(do_detokenize, "/detokenize", {"tokens": [1, 2, 3]})
    yield _cord(get_models, "/v1/models")
    yield _cord(get_model, "/v1/models/{model:path}")


def is_engine_cord(cord: Cord) -> bool:
    """Whether the cord came with the engine, and none of the user's stands in its place."""
    return cord.function.__module__ == __name__


def own_name(model_name: str) -> str:
    """What a model is called when nobody has named it: a file or folder by the last part of its path."""
    if not model_name.startswith(("/", ".", "~")) and not model_name.lower().endswith(_GGUF):
        return model_name
    last = PurePath(model_name).name
    return last[: -len(_GGUF)] if last.lower().endswith(_GGUF) else last


async def chat(self: Any) -> None:
    """Answer a conversation; with `"stream": true` word by word, as events."""


async def completion(self: Any) -> None:
    """Continue a text; with `"stream": true` word by word, as events."""


async def embed(self: Any) -> None:
    """The vectors of one text or several."""


async def do_tokenize(self: Any) -> None:
    """The tokens of a text."""


async def do_detokenize(self: Any) -> None:
    """The text of tokens."""


async def get_models(self: Any) -> None:
    """The model that this chute serves."""


async def get_model(self: Any) -> None:
    """What is known of one model."""


def _cord(function: Any, path: str, example: dict[str, Any] | None = None) -> Cord:
    return make_cord(
        function,
        public_api_path=path,
        method="GET" if example is None else "POST",
        public_api_method=None,
        path=None,
        output_content_type=None,
        stream=False,
        on_disconnect=None,
        batch=None,
        timeout=None,
        minimal_input_schema=example,
        passthrough=True,
        passthrough_path=None,
        passthrough_port=None,
        options={"tags": [_TAG]},
    )

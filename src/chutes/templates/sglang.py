"""A language model behind the OpenAI API, with SGLang in the first place."""

from typing import TYPE_CHECKING, Any

from chutes.chute.chute import Chute
from chutes.image.standard.sglang import SGLANG
from chutes.templates.language import build

if TYPE_CHECKING:
    from chutes.chute.engine_arguments import EngineArguments
    from chutes.chute.node_selector import NodeSelector
    from chutes.image import Image

__all__ = ["build_sglang_chute"]


def build_sglang_chute(  # noqa: PLR0917 - the public SDK's signature
    username: str,
    model_name: str,
    node_selector: "NodeSelector | None" = None,
    image: "str | Image" = SGLANG,
    tagline: str = "",
    readme: str = "",
    concurrency: int = 32,
    engine_args: "EngineArguments" = None,
    revision: str | None = None,
    max_instances: int = 1,
    scaling_threshold: float = 0.75,
    shutdown_after_seconds: int = 300,
    allow_external_egress: bool | None = None,
    tee: bool = False,
    *,
    name: str | None = None,
    engine: str = "auto",
    engine_python: str | None = None,
    **options: Any,
) -> Chute:
    """A chute that serves a language model over the OpenAI API, with SGLang where there is a GPU.

    It has the routes `/v1/chat/completions`, `/v1/completions`, `/v1/models`, `/tokenize` and `/detokenize`, and inside hooks,
    cords and jobs `self.generate`, `self.generate_stream`, `self.chat` and their like.

    Args:
        username: owner of the chute.
        model_name: a name on the model hub such as `Qwen/Qwen3-0.6B`, a folder, or a `.gguf` file.
        node_selector: the hardware; default: GPUs in which a model of the size in its name fits.
        image: the container image, with the engine in it.
        tagline: one line for lists.
        readme: Markdown.
        concurrency: calls that reach the engine at once, at most.
        engine_args: further options of SGLang: a dict such as `{"context_length": 4096}`, a list of words, or one string as
            on the command line.
        revision: branch, tag or commit of the model on the hub.
        max_instances: replicas to which a deployment may grow.
        scaling_threshold: share of `concurrency` in use above which a deployment grows.
        shutdown_after_seconds: idle seconds after which a deployment may scale to zero.
        allow_external_egress: accepted for files of the public SDK.
        tee: accepted for files of the public SDK.
        name: name of the chute; default: made of the model's.
        engine: `auto` takes SGLang where it can run, else what is installed; or `vllm`, `sglang`, `llamacpp`, `transformers`.
        engine_python: the interpreter of the environment that has the engine; default: this one.
        **options: the rest goes to `Chute(...)`: max_queue, drain_delay, title, …

    Raises:
        DefinitionError: a value breaks its rule; the text names it and proposes a valid one.
    """
    return build("sglang", locals())

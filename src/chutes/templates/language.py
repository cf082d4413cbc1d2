"""What the templates of models have in common: from a builder's parameters to a chute."""

from typing import Any

from chutes.chute.chute import Chute
from chutes.errors import DefinitionError
from chutes.templates.hardware import guess_node_selector
from chutes.templates.names import slug

__all__ = ["build"]


def build(template: str, values: dict[str, Any]) -> Chute:
    """The chute of one template, from the parameters of its builder by name.

    Raises:
        DefinitionError: one of them cannot be.
    """
    options = values.pop("options")
    model_name = values["model_name"]
    if not isinstance(model_name, str) or not model_name.strip():
        raise DefinitionError(
            f"Invalid model_name {model_name!r}. Write a name on the hub such as 'Qwen/Qwen3-0.6B', a folder, or a .gguf file."
        )
    if "standard_template" in options:
        raise DefinitionError(f"The template is {template!r} already: leave standard_template= out.")
    if values["name"] is None:
        values["name"] = slug(model_name)
    if values["node_selector"] is None:
        values["node_selector"] = guess_node_selector(model_name)
    return Chute(**values, standard_template=template, **options)

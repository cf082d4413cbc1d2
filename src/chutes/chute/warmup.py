"""Which arguments a cord can be called with before the chute is ready."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from chutes.errors import DefinitionError

__all__ = ["check_warmup", "is_model", "takes_form"]

_FORM_WORDS = re.compile(r"\b(UploadFile|Form|File)\b")
_FORM_NAMES = frozenset({"UploadFile", "Form", "File"})
_FORM_MODULES = ("fastapi.", "starlette.")


def check_warmup(warmup: object, function: Callable[..., Any], path: str) -> None:
    """Raise `DefinitionError` unless `warmup` is False, or arguments that a call of `function` can be made with."""
    name = function.__name__
    if warmup is False:
        return
    if inspect.isclass(warmup):
        raise DefinitionError(
            f"Invalid warmup {warmup!r} for cord {name!r}. It takes values: warmup={warmup.__name__}(…)."
        )
    if not is_model(warmup) and not (
        isinstance(warmup, Mapping) and all(isinstance(key, str) for key in warmup)
    ):
        raise DefinitionError(
            f"Invalid warmup {warmup!r} for cord {name!r}. It takes the arguments of a call as a dict or a model, for example "
            'warmup={"prompt": "hello"}, {} for a cord without arguments, or False for no call.'
        )
    if "{" in path:
        raise DefinitionError(
            f"Cord {name!r} has warmup= and a placeholder in its path {path!r}, for which there is no value. Leave warmup= out, "
            f"and call the function in a startup hook: `await self.{name}(…)`."
        )
    if takes_form(function):
        raise DefinitionError(
            f"Cord {name!r} has warmup= and takes a form or a file, which a warm-up call cannot send. Leave warmup= out, and "
            f"call what is behind it in a startup hook."
        )


def is_model(value: object) -> bool:
    """Whether `value` is an instance of a pydantic model or a dataclass."""
    kind = type(value)
    return hasattr(kind, "model_fields") or (dataclasses.is_dataclass(kind) and not inspect.isclass(value))


def takes_form(function: Callable[..., Any]) -> bool:
    """Whether a parameter of `function` is, as far as its annotation says, a form field or a file."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return any(_is_form(part) for one in parameters for part in (one.annotation, one.default))


def _is_form(part: Any) -> bool:
    if isinstance(part, str):
        return _FORM_WORDS.search(part) is not None
    kind = part if inspect.isclass(part) else type(part)
    if kind.__name__ in _FORM_NAMES and kind.__module__.startswith(_FORM_MODULES):
        return True
    inner = (*typing.get_args(part), *getattr(part, "__metadata__", ()))
    return any(_is_form(one) for one in inner if not isinstance(one, str))

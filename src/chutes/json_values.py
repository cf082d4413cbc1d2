"""Values of any kind → JSON: models, dataclasses, plain values, arrays and tensors."""

import json
from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

__all__ = ["as_plain", "encode_json", "to_plain"]


def encode_json(value: Any) -> bytes:
    """JSON text of models, dataclasses, plain values, and arrays and tensors (anything with `tolist()`).

    Raises:
        PydanticSerializationError: no rule fits a part of the value.
    """
    try:
        return to_json(value, by_alias=True, inf_nan_mode="null", fallback=as_plain)
    except PydanticSerializationError as error:
        if "surrogates not allowed" not in str(error):
            raise
        # Half a character pair is no UTF-8, but JSON can escape it.
        return json.dumps(to_plain(value), separators=(",", ":")).encode()


def to_plain(value: Any) -> Any:
    """The same as dicts, lists, text, numbers and None.

    Raises:
        PydanticSerializationError: no rule fits a part of the value.
    """
    return to_jsonable_python(value, by_alias=True, inf_nan_mode="null", fallback=as_plain)


def as_plain(value: Any) -> Any:
    """What stands for a value that pydantic has no rule for.

    Raises:
        TypeError: nothing does.
    """
    tolist = getattr(value, "tolist", None)
    if callable(tolist):
        return tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Collection):
        return list(value)
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"no rule for {type(value).__module__}.{type(value).__qualname__}")

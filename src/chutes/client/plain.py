"""Python values as JSON, and as the text of queries and form fields."""

import dataclasses
import decimal
import enum
import json
import uuid
from collections.abc import Set as AbstractSet
from typing import Any

from chutes.errors import CallRejected

__all__ = ["field_text", "field_texts", "plain", "to_json"]


def plain(value: Any) -> Any:
    """One level of `value` as something that JSON knows.

    Models and arrays are known by their methods, so that neither pydantic nor NumPy is imported for them.
    """
    if isinstance(value, type):
        raise _not_json(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, AbstractSet):
        return list(value)
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    for method in ("tolist", "isoformat"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise _not_json(value)


def to_json(value: Any) -> bytes:
    """The JSON text of `value`, in UTF-8.

    Raises:
        CallRejected: a part of `value` cannot be JSON.
    """
    try:
        text = json.dumps(value, default=plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (ValueError, TypeError) as exc:
        raise CallRejected(
            f"The arguments cannot be sent as JSON: {exc}. NaN, infinity, lone surrogates, "
            "keys that are no text and values that contain themselves have no JSON form."
        ) from exc


def field_text(value: Any) -> str:
    """`value` as one query parameter or form field: text as it is, all else as JSON."""
    decoded = json.loads(to_json(value))
    return decoded if isinstance(decoded, str) else to_json(decoded).decode()


def field_texts(value: Any) -> list[str]:
    """`value` as the fields of one name: none for None, one for each item of a list."""
    if value is None:
        return []
    if isinstance(value, (list, tuple, AbstractSet)):
        return [field_text(item) for item in value]
    return [field_text(value)]


def _not_json(value: Any) -> CallRejected:
    shown = repr(value)[:80]
    return CallRejected(
        f"A {type(value).__name__} cannot be sent as JSON: {shown}. Send text, numbers, lists, dicts, "
        "dataclasses or pydantic models; a file is an argument of its own, for example image=Path('cat.png')."
    )

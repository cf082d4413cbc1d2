"""What a parameter's annotation says of the input that it takes."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin

from pydantic import BaseModel, Field, Json, PlainValidator, TypeAdapter, WithJsonSchema
from pydantic.fields import FieldInfo
from typing_extensions import is_typeddict

__all__ = [
    "annotated",
    "field_names",
    "fields",
    "is_dict",
    "is_nested",
    "is_record",
    "is_whole",
    "json_text",
    "type_name",
    "unfolded",
    "without_none",
]


def without_none(annotation: Any) -> tuple[Any, bool]:
    """The annotation without `Annotated` and `| None`, and whether None was allowed."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (typing.Union, types.UnionType):
        kept = [one for one in get_args(annotation) if one is not type(None)]
        if len(kept) < len(get_args(annotation)):
            return (kept[0] if len(kept) == 1 else typing.Union[tuple(kept)]), True  # noqa: UP007 - made at run time
    return annotation, False


def is_dict(annotation: Any) -> bool:
    """Whether any mapping of names to values will do."""
    bare = without_none(annotation)[0]
    origin = get_origin(bare) or bare
    return inspect.isclass(origin) and not is_typeddict(origin) and issubclass(origin, Mapping)


def is_record(annotation: Any) -> bool:
    """Whether it is a model, a dataclass or a TypedDict."""
    return inspect.isclass(annotation) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation) or is_typeddict(annotation)
    )


def is_whole(annotation: Any) -> bool:
    """Whether a parameter of this type, alone, takes the whole input."""
    bare = without_none(annotation)[0]
    if get_origin(bare) in (typing.Union, types.UnionType):
        return all(is_whole(one) for one in get_args(bare))
    return is_dict(bare) or is_record(get_origin(bare) or bare)


def is_nested(annotation: Any) -> bool:
    """Whether a form field or query parameter can hold the type only as JSON text."""
    bare = without_none(annotation)[0]
    if is_whole(bare):
        return True
    if get_origin(bare) in (list, set, tuple, frozenset):
        return any(is_nested(one) or get_origin(one) in (list, set, tuple) for one in get_args(bare))
    return False


def fields(record: Any) -> dict[str, tuple[Any, FieldInfo]]:
    """The fields of a model, dataclass or TypedDict, as pydantic sees them."""
    if inspect.isclass(record) and issubclass(record, BaseModel):
        return {name: (info.annotation, info) for name, info in record.model_fields.items()}
    hints = {
        name: _unmarked(hint) for name, hint in typing.get_type_hints(record, include_extras=True).items()
    }
    if dataclasses.is_dataclass(record):
        optional = {
            one.name
            for one in dataclasses.fields(record)
            if one.default is not dataclasses.MISSING or one.default_factory is not dataclasses.MISSING
        }
    else:
        optional = set(record.__optional_keys__)
    return {
        name: (
            hint,
            FieldInfo.from_annotated_attribute(hint, None)
            if name in optional
            else FieldInfo.from_annotation(hint),
        )
        for name, hint in hints.items()
    }


def _unmarked(hint: Any) -> Any:
    """The type of a TypedDict's field without its `Required[…]` or `NotRequired[…]`."""
    return get_args(hint)[0] if get_origin(hint) in (Required, NotRequired) else hint


def field_names(schema: Any) -> list[str]:
    """The names of a record's fields; none for any other type."""
    return list(fields(schema)) if is_record(schema) else []


def annotated(hint: Any, info: FieldInfo) -> Any:
    """The type with the constraints and the description of the field that it stands for."""
    for mark in (*info.metadata, *([Field(description=info.description)] if info.description else [])):
        hint = Annotated[hint, mark]
    return hint


def type_name(schema: Any) -> str:
    """The type as an error text names it."""
    return getattr(schema, "__name__", repr(schema))


def unfolded(annotation: Any, info: FieldInfo, name: str) -> tuple[Any, str, Any]:
    """`hint = Field(...)` as FastAPI takes it beside a marker of its own: annotation, name and default."""
    default = inspect.Parameter.empty if info.is_required() else info.get_default(call_default_factory=True)
    return annotated(annotation, info), info.alias or name, default


def json_text(annotation: Any) -> Any:
    """JSON in one query parameter or form field; FastAPI itself takes none but scalars in a query."""
    adapter: TypeAdapter[Any] = TypeAdapter(Json[annotation])
    schema = {"type": "string", "contentMediaType": "application/json"}

    def read(value: Any) -> Any:
        # Older FastAPI validates defaults, too.
        return adapter.validate_python(value) if isinstance(value, str | bytes) else value

    return Annotated[Any, PlainValidator(read), WithJsonSchema(schema)]

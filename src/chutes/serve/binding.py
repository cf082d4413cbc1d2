"""A user's function → the parameters that FastAPI reads from a request, and back to the function's arguments."""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from fastapi import BackgroundTasks, Body, Form, Query, Request, Response, UploadFile, params
from fastapi.exceptions import RequestValidationError
from fastapi.security import SecurityScopes
from pydantic import (
    BaseModel,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from starlette.requests import HTTPConnection

from chutes.chute.cord import Cord
from chutes.errors import DefinitionError
from chutes.loading.type_hints import usable
from chutes.serve.annotations import (
    annotated,
    field_names,
    fields,
    is_dict,
    is_nested,
    is_whole,
    json_text,
    type_name,
    unfolded,
    without_none,
)
from chutes.serve.hints import cord_hints

__all__ = ["BODY_VERBS", "FORM", "INPUT", "REQUEST", "RESPONSE", "Binding", "bind"]

REQUEST = "chute_request"
RESPONSE = "chute_response"
"""Names of the two parameters that every endpoint has beside the user's."""
INPUT = "chute_input"
"""Name of the one that stands for the user's, where their values are the fields of one input."""
FORM = "chute_form"
"""Name under which the parsed form stands among the values, for cords that read one."""

_INJECTED = (HTTPConnection, Response, BackgroundTasks, SecurityScopes)
_EXPLICIT = (params.Param, params.Body, params.Depends)
BODY_VERBS = ("POST", "PUT", "PATCH")
_EMPTY = inspect.Parameter.empty

Collect = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """How a cord gets its arguments.

    Attributes:
        parameters: what FastAPI reads from the request, as keyword parameters.
        collect: for each of the function's parameters, how its value comes from what FastAPI read.
        positional: names of those that can only be given by position, in order.
        in_form: the values come from a form, which is parsed before they are collected.
        media_type: of the body, as OpenAPI shows it.
        takes_request: the request itself is one of the values.
        takes_response: the response is one of the values, for its headers and status.
        openapi: what must be added to the operation's OpenAPI by hand.
    """

    parameters: tuple[inspect.Parameter, ...]
    collect: Mapping[str, Collect]
    positional: tuple[str, ...]
    in_form: bool
    media_type: str
    takes_request: bool
    takes_response: bool
    openapi: Mapping[str, Any]

    def arguments(self, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The positional and keyword arguments of the user's function, without the chute.

        Raises:
            RequestValidationError: a value that is put together here breaks a rule of its type.
        """
        named = {name: collect(values) for name, collect in self.collect.items()}
        return [named.pop(name) for name in self.positional], named


def bind(cord: Cord, placeholders: frozenset[str], *, has_dependencies: bool = False) -> Binding:
    """Decide where each parameter of a cord comes from.

    Args:
        cord: whose parameters they are.
        placeholders: the names in its path.
        has_dependencies: dependencies of the whole chute run before it; they may read the body too.

    Raises:
        DefinitionError: a hint cannot be resolved, or no rule fits a parameter.
    """
    return _Binder(cord, placeholders, has_dependencies).bind()


class _Binder:
    """The state while one cord is bound."""

    def __init__(self, cord: Cord, placeholders: frozenset[str], has_dependencies: bool) -> None:
        self.cord = cord
        self.has_dependencies = has_dependencies or "dependencies" in cord.route_options
        self.placeholders = placeholders
        hints = cord_hints(cord)
        skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        wanted = [
            parameter.replace(annotation=hints.get(parameter.name, Any))
            for parameter in list(inspect.signature(cord.function).parameters.values())[1:]
            if parameter.kind not in skipped
        ]
        self.names = frozenset(one.name for one in wanted)
        self.positional = tuple(one.name for one in wanted if one.kind is inspect.Parameter.POSITIONAL_ONLY)
        self.plain = [one for one in wanted if not self._is_fastapi(one)]
        self.explicit = [one for one in wanted if self._is_fastapi(one)]
        if cord.passthrough:
            # The function is not called, and the body goes on to the upstream unread: dependencies alone act.
            self.explicit = [one for one in self.explicit if isinstance(_marker(one), params.Depends)]
        self.in_form = any(_is_form(one) for one in self.explicit)
        self.in_body = cord.method in BODY_VERBS
        self.parameters: dict[str, inspect.Parameter] = {}
        self.collect: dict[str, Collect] = {}
        self.openapi: dict[str, Any] = {}
        self.taken: set[str] = set()

    def bind(self) -> Binding:
        for parameter in self.explicit:
            shared = _shared_name(parameter)
            if shared is not None:
                self.taken.add(shared)
            else:
                self._read(parameter.name, parameter.annotation, parameter.default)
            self.collect[parameter.name] = _value_of(shared or parameter.name)
        if self.plain and not self.cord.passthrough:
            self._bind_plain()
        self._read(REQUEST, Request, _EMPTY)
        self._read(RESPONSE, Response, _EMPTY)
        return Binding(
            parameters=tuple(self.parameters.values()),
            collect=self.collect,
            positional=self.positional,
            in_form=self.in_form,
            media_type=self._media_type(),
            takes_request=REQUEST in self.taken,
            takes_response=RESPONSE in self.taken,
            openapi=self.openapi,
        )

    def _media_type(self) -> str:
        if any(isinstance(_marker(one), params.File) or _is_upload(one.annotation) for one in self.explicit):
            return "multipart/form-data"
        return "application/x-www-form-urlencoded" if self.in_form else "application/json"

    def _bind_plain(self) -> None:
        schema = usable(self.cord.input_schema)
        if schema is not None and not isinstance(schema, dict):
            self._bind_schema(schema)
        elif len(self.plain) == 1 and is_whole(self.plain[0].annotation):
            self._bind_whole(self.plain[0])
        else:
            self._bind_names(self.plain)

    def _bind_schema(self, schema: Any) -> None:
        """The input is validated as `schema`; its fields, or all of it, become the arguments."""
        whole = [one for one in self.plain if len(self.plain) == 1 or one.annotation == schema]
        collect = self._read_whole(INPUT, schema, _EMPTY)
        fields = field_names(schema)
        for parameter in self.plain:
            if parameter in whole:
                dump = is_dict(parameter.annotation) and not is_dict(schema)
                self.collect[parameter.name] = _dumped(collect, schema) if dump else collect
            elif parameter.name in fields:
                self.collect[parameter.name] = _field_of(collect, parameter.name, parameter.default)
            elif parameter.default is not _EMPTY:
                self.collect[parameter.name] = _constant(parameter.default)
            else:
                raise DefinitionError(
                    f"Cord {self.cord.name!r} takes {parameter.name!r}, which is no field of its input_schema "
                    f"{type_name(schema)} ({', '.join(fields) or 'no fields'}). Add the field, or give it a default."
                )

    def _bind_whole(self, parameter: inspect.Parameter) -> None:
        self.collect[parameter.name] = self._read_whole(
            parameter.name, parameter.annotation, parameter.default
        )

    def _read_whole(self, name: str, annotation: Any, default: Any) -> Collect:
        if self.in_form or not self.in_body:
            if is_dict(annotation):
                return self._read_mapping(name, annotation)
            return self._read_spread(name, annotation, default)
        key = self._key(name)
        self._read(key, Annotated[annotation, Body(alias=name)], default)
        return _value_of(key)

    def _read_mapping(self, name: str, annotation: Any) -> Collect:
        """All of the query, or all fields of the form, as one dict; a repeated name has a list."""
        adapter = TypeAdapter(dict[str, Any] if annotation in (dict, typing.Mapping) else annotation)
        place = "body" if self.in_form else "query"
        self.taken.add(REQUEST)
        if place == "query":
            schema = {"type": "object", "additionalProperties": True}
            self.openapi["parameters"] = [
                {
                    "name": name,
                    "in": "query",
                    "required": False,
                    "style": "form",
                    "explode": True,
                    "schema": schema,
                }
            ]

        def collect(values: dict[str, Any]) -> Any:
            pairs = values[FORM] if self.in_form else values[REQUEST].query_params
            found = {key: pairs.getlist(key) for key in pairs if key not in self.parameters}
            flat = {key: items[0] if len(items) == 1 else items for key, items in found.items()}
            return _validated(adapter, flat, place)

        return collect

    def _read_spread(self, name: str, annotation: Any, default: Any) -> Collect:
        """Each field of a model is read by its own name; the model is put together afterwards."""
        inner, optional = without_none(annotation)
        self.taken.add(REQUEST)
        place = "body" if self.in_form else "query"
        optional = optional or default is not _EMPTY
        sources = {}
        for field_name, (hint, info) in fields(inner).items():
            source = (
                info.validation_alias if isinstance(info.validation_alias, str) else info.alias or field_name
            )
            fallback = _EMPTY if info.is_required() and not optional else info.get_default()
            fallback = None if fallback is PydanticUndefined else fallback
            accepted = annotated(hint if fallback is not None else hint | None, info)
            sources[self._read_one(f"{name}__{field_name}", accepted, fallback, alias=source)] = source
        adapter = TypeAdapter(inner)

        def collect(values: dict[str, Any]) -> Any:
            pairs = values[FORM] if self.in_form else values[REQUEST].query_params
            given = {source: values[key] for key, source in sources.items() if source in pairs}
            if not given and optional:
                return None if default is _EMPTY else default
            return _validated(adapter, given, place)

        return collect

    def _bind_names(self, wanted: list[inspect.Parameter]) -> None:
        # A body parameter that the user placed, here or in a dependency, makes FastAPI look each one up by name.
        mixed = any(isinstance(_marker(one), params.Body | params.Depends) for one in self.explicit)
        if self.in_body and not self.in_form and not mixed and not self.has_dependencies:
            self._read_object(wanted)
            return
        whole = [one for one in wanted if is_whole(one.annotation)]
        for parameter in wanted:
            if not self.in_body and whole == [parameter]:
                self._bind_whole(parameter)
                continue
            name = parameter.name
            key = self._read_one(name, parameter.annotation, parameter.default, alias=name)
            self.collect[name] = _value_of(key)

    def _read_object(self, wanted: list[inspect.Parameter]) -> None:
        """One JSON object whose fields are the parameters."""
        renamed = {one.name: self._key(one.name) for one in wanted}
        fields = {renamed[one.name]: _field(one, aliased=renamed[one.name] != one.name) for one in wanted}
        title = "".join(part.capitalize() for part in self.cord.name.split("_")) + "Input"
        model: type[BaseModel] = create_model(title, __module__=self.cord.function.__module__, **fields)  # type: ignore[call-overload] # fields by name
        required = any(info.is_required() for info in model.model_fields.values())
        body = Body() if required else Body(default_factory=model)
        self._read(INPUT, Annotated[model, body], _EMPTY)
        for name, inner in renamed.items():
            self.collect[name] = _field_of(_value_of(INPUT), inner)

    def _read_one(self, name: str, annotation: Any, default: Any, *, alias: str) -> str:
        """Read one named value; returns the name under which it stands among the values."""
        if isinstance(default, FieldInfo):
            annotation, alias, default = unfolded(annotation, default, alias)
        if self.in_form:
            marker: Any = Form(alias=alias)
        elif self.in_body:
            marker = Body(alias=alias, embed=True)
        else:
            marker = Query(alias=alias)
        if not (self.in_body and not self.in_form) and is_nested(annotation):
            annotation = json_text(annotation)
        key = self._key(name)
        self._read(key, Annotated[annotation, marker], default)
        return key

    def _key(self, name: str) -> str:
        return _field_name(name, self.names - {name})

    def _read(self, name: str, annotation: Any, default: Any) -> None:
        self.parameters[name] = inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
        )

    def _is_fastapi(self, parameter: inspect.Parameter) -> bool:
        if parameter.name in self.placeholders or _marker(parameter) is not None:
            return True
        bare = without_none(parameter.annotation)[0]
        return (inspect.isclass(bare) and issubclass(bare, _INJECTED)) or _is_upload(parameter.annotation)


def _shared_name(parameter: inspect.Parameter) -> str | None:
    """FastAPI fills one request and one response parameter only: the user's share those that every endpoint has."""
    bare = without_none(parameter.annotation)[0]
    if _marker(parameter) is not None or not inspect.isclass(bare):
        return None
    if issubclass(bare, Request):
        return REQUEST
    return RESPONSE if issubclass(bare, Response) else None


def _marker(parameter: inspect.Parameter) -> Any:
    """FastAPI's own marker of a parameter: Query(), Body(), Depends(), … or None."""
    candidates = (parameter.default, *getattr(parameter.annotation, "__metadata__", ()))
    return next((one for one in candidates if isinstance(one, _EXPLICIT)), None)


def _is_form(parameter: inspect.Parameter) -> bool:
    return isinstance(_marker(parameter), params.Form) or _is_upload(parameter.annotation)


def _is_upload(annotation: Any) -> bool:
    bare = without_none(annotation)[0]
    if get_origin(bare) in (list, tuple, set) and get_args(bare):
        bare = get_args(bare)[0]
    return inspect.isclass(bare) and issubclass(bare, _upload_base())


def _upload_base() -> type:
    from starlette.datastructures import UploadFile as StarletteUpload

    return StarletteUpload if issubclass(UploadFile, StarletteUpload) else UploadFile


def _field_name(name: str, taken: frozenset[str]) -> str:
    """`name`, or one made from it that a pydantic model may have as a field."""
    while name.startswith("_") or hasattr(BaseModel, name) or name in taken:
        name = f"field_{name}"
    return name


def _field(parameter: inspect.Parameter, *, aliased: bool) -> tuple[Any, Any]:
    default = ... if parameter.default is _EMPTY else parameter.default
    if not aliased:
        return parameter.annotation, default
    if isinstance(default, FieldInfo):
        return Annotated[parameter.annotation, default], Field(alias=parameter.name)
    return parameter.annotation, Field(default, alias=parameter.name)


def _validated(adapter: TypeAdapter[Any], value: Any, place: str) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise RequestValidationError(
            [{**one, "loc": (place, *one["loc"])} for one in details], body=value
        ) from None


def _value_of(name: str) -> Collect:
    return lambda values: values[name]


def _field_of(collect: Collect, field: str, default: Any = _EMPTY) -> Collect:
    fallback = None if default is _EMPTY else default

    def get(values: dict[str, Any]) -> Any:
        record = collect(values)
        # A TypedDict has no defaults: a field that may be absent takes the parameter's.
        return record.get(field, fallback) if isinstance(record, dict) else getattr(record, field)

    return get


def _dumped(collect: Collect, schema: Any) -> Collect:
    adapter = TypeAdapter(schema)
    return lambda values: adapter.dump_python(collect(values))


def _constant(value: Any) -> Collect:
    return lambda _values: value

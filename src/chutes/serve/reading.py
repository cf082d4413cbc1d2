"""What the short way of a cord reads from a request: one JSON body, query parameters, or nothing.

It is right about good requests only. Whatever else it meets, it raises: FastAPI's own way then says what that means.
"""

import datetime as dt
import decimal
import enum
import inspect
import typing
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin
from urllib.parse import parse_qsl

from fastapi import params
from pydantic import BaseModel
from pydantic_core import from_json
from starlette.requests import Request
from starlette.types import Scope

from chutes.serve.binding import INPUT, REQUEST
from chutes.serve.calls import CordCall

if TYPE_CHECKING:
    from chutes.serve.cords import CordRoute

__all__ = ["Reader", "Unusual", "check_json_type", "reader_of"]

_JSON_TYPES = frozenset(
    {b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"}
)
# Values that cannot be changed: a default among them can be given to every call.
_CONSTANTS = (
    str, int, float, bool, bytes, type(None), enum.Enum, dt.date, dt.time, dt.timedelta, uuid.UUID,
    decimal.Decimal,
)  # fmt: skip
_SEQUENCES = (list, tuple, set, frozenset, deque, Sequence)

Read = Callable[[Scope, bytes, Request | None], Any]
Validate = Callable[[Any], Any]


class Unusual(Exception):  # noqa: N818 - control flow, no error
    """Only FastAPI's own way can say what becomes of this request."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How a call gets from a request to its function.

    Attributes:
        takes_body: there is a JSON body to read.
        takes_request: the function sees the request itself.
        read: what the function is called with, from the scope, the body and the request.
        run: calls the function with what was read.
    """

    takes_body: bool
    takes_request: bool
    read: Read
    run: Callable[[Any], Awaitable[Any]]


def reader_of(route: "CordRoute", call: CordCall) -> Reader | None:
    """How a cord's short way reads; None when the cord takes something that only FastAPI can read."""
    dependant, binding = route.dependant, call.binding
    unusual = (
        dependant.path_params, dependant.header_params, dependant.cookie_params, dependant.dependencies,
        dependant.background_tasks_param_name, dependant.security_scopes_param_name,
        dependant.http_connection_param_name, binding.in_form, binding.takes_response,
        getattr(route, "_embed_body_fields", False), dependant.body_params and dependant.query_params,
    )  # fmt: skip
    if any(unusual) or len(dependant.body_params) > 1:
        return None
    if dependant.body_params:
        return _body_reader(dependant.body_params[0], call)
    values = _query_values(dependant.query_params)
    return _general(values, call, takes_body=False) if values is not None else None


def check_json_type(scope: Scope) -> None:
    """Let requests pass that say in a common way that they have a JSON body.

    Raises:
        Unusual: any other.
    """
    for name, value in scope["headers"]:
        if name == b"content-type":
            if value in _JSON_TYPES:
                return
            break
    raise Unusual


def _body_reader(field: Any, call: CordCall) -> Reader | None:
    validate = _validator(field)
    if validate is None or type(field.field_info) is not params.Body:
        return None

    def parsed(body: bytes) -> Any:
        value = from_json(body)
        if value is None:
            # Whether null stands for a default is FastAPI's to say.
            raise Unusual
        return validate(value)

    if _is_only_parameter(field, call):
        return Reader(
            takes_body=True,
            takes_request=False,
            read=lambda _scope, body, _request: parsed(body),
            run=_alone(call),
        )
    if _are_fields(field, call):
        # A model that was made for the parameters: its fields are the arguments.
        return Reader(
            takes_body=True,
            takes_request=False,
            read=lambda _scope, body, _request: vars(parsed(body)),
            run=lambda named: call.run(**named),
        )
    name = field.name
    return _general(lambda _scope, body: {name: parsed(body)}, call, takes_body=True)


def _is_only_parameter(field: Any, call: CordCall) -> bool:
    """Whether the body, as it was validated, is all that the function takes."""
    return field.name != INPUT and len(call.binding.collect) == 1


def _are_fields(field: Any, call: CordCall) -> bool:
    """Whether the function takes the fields of the body, each under its own name."""
    if field.name != INPUT or call.cord.input_schema is not None or call.binding.positional:
        return False
    return bool(call.binding.collect.keys() == field.field_info.annotation.model_fields.keys())


def _alone(call: CordCall) -> Callable[[Any], Awaitable[Any]]:
    """Calls the function with its one argument: by name, unless nobody could tell."""
    function = call.cord.function
    (name,) = call.binding.collect
    kind = inspect.signature(function).parameters[name].kind
    # A decorator of the user's own may look at what was given by name.
    is_bare = inspect.isfunction(function) and not hasattr(function, "__wrapped__")
    if name in call.binding.positional or (is_bare and kind is not inspect.Parameter.KEYWORD_ONLY):
        return call.run
    return lambda value: call.run(**{name: value})


def _general(
    values_of: Callable[[Scope, bytes], dict[str, Any]], call: CordCall, *, takes_body: bool
) -> Reader:
    """Puts the arguments together as FastAPI's own way does, from what FastAPI would have read."""
    binding = call.binding

    def read(scope: Scope, body: bytes, request: Request | None) -> Any:
        values = values_of(scope, body)
        values[REQUEST] = request
        return binding.arguments(values)

    return Reader(takes_body, binding.takes_request, read, lambda given: call.run(*given[0], **given[1]))


def _query_values(fields: list[Any]) -> Callable[[Scope, bytes], dict[str, Any]] | None:
    """Reads query parameters that occur once each; None when FastAPI has to read one of them."""
    wanted = [_QueryField.of(field) for field in fields]
    if not all(wanted):
        return None

    def values_of(scope: Scope, _body: bytes) -> dict[str, Any]:
        pairs = _pairs(scope["query_string"].decode("latin-1"))
        given = dict(pairs)
        if len(given) < len(pairs):
            raise Unusual
        return {field.name: field.value(given) for field in wanted if field is not None}

    return values_of if fields else lambda _scope, _body: {}


def _pairs(query: str) -> list[tuple[str, str]]:
    """Names and values of a query string."""
    if "%" in query or "+" in query:
        return parse_qsl(query, keep_blank_values=True)
    # Nothing is escaped: what parse_qsl would do beside this costs more than all the rest of the reading.
    return [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)]


@dataclass(frozen=True, slots=True)
class _QueryField:
    name: str
    alias: str
    required: bool
    default: Any
    validate: Validate

    @classmethod
    def of(cls, field: Any) -> "_QueryField | None":
        info, validate = field.field_info, _validator(field)
        unusual = (
            type(info) is not params.Query, info.default_factory, info.validate_default, field.config,
            not isinstance(info.validation_alias, str | None), _is_several(info.annotation),
        )  # fmt: skip
        default = None if info.is_required() else info.default
        if any(unusual) or validate is None or not isinstance(default, _CONSTANTS):
            return None
        alias = info.validation_alias or field.alias
        return cls(field.name, alias, info.is_required(), default, validate)

    def value(self, given: dict[str, str]) -> Any:
        text = given.get(self.alias)
        if text is not None:
            return self.validate(text)
        if self.required:
            raise Unusual
        return self.default


def _validator(field: Any) -> Validate | None:
    """Validates as FastAPI's own field does; None when this FastAPI keeps its validator elsewhere.

    FastAPI's takes attributes for fields, too. What comes from JSON or a query has none.
    """
    adapter = getattr(field, "_type_adapter", None)
    return None if adapter is None else adapter.validator.validate_python


def _is_several(annotation: Any) -> bool:
    """Whether FastAPI may take more than one value of the query for it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_several(arguments[0])
    if origin in (typing.Union, UnionType):
        return any(map(_is_several, arguments))
    kind = origin or annotation
    if not inspect.isclass(kind) or issubclass(kind, str | bytes):
        return False
    return issubclass(kind, (*_SEQUENCES, BaseModel))

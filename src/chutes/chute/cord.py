"""A cord: one HTTP endpoint of a chute, as a frozen value."""

import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from chutes.chute.config import DISCONNECT_POLICIES, DisconnectPolicy
from chutes.errors import DefinitionError, InvalidPath
from chutes.suggestions import did_you_mean

if TYPE_CHECKING:
    from chutes.chute.batch import Batch

__all__ = ["METHODS", "ROUTE_OPTIONS", "Cord", "check_function", "check_path", "make_cord", "normal_path"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

ROUTE_OPTIONS = frozenset(
    {
        "dependencies", "deprecated", "description", "include_in_schema", "operation_id", "response_description",
        "responses", "status_code", "summary", "tags",
    }
)  # fmt: skip
"""Keyword arguments of a cord that go to FastAPI's route as they are."""

# Of the public SDK, and of files that were copied from it: what they ask for is done anyway, or has nothing to do here.
_NEEDLESS = frozenset({"pass_chute", "sglang_passthrough"})
_PROBES = ("/livez", "/readyz")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::(str|path|int|float|uuid))?\}")
_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cord:
    """One HTTP endpoint: the function, where it answers, and how its input and output look.

    Attributes:
        function: the user's function, unchanged; its first parameter is the chute.
        path: as written, with `{placeholders}`.
        method: the HTTP verb, upper case.
        input_schema: the type that the input is validated with; None derives it from the signature.
        output_schema: the type that the output is validated with; None validates nothing.
        minimal_input_schema: a smaller type (or an instance of one) shown as the example.
        output_content_type: the content type of a plain value; of the chunks of a stream too, JSON aside.
        stream: the function streams its answer.
        on_disconnect: what happens when the client leaves; None leaves it to the chute.
        batch: how calls are put together; None calls the function once for each.
        timeout: seconds that a call may take from the moment at which its input is whole; None sets no limit.
        warmup: arguments of a call that is made before the chute is ready; None takes `minimal_input_schema` when that is
            an instance, False makes none.
        passthrough: the call is forwarded to a server on this machine.
        passthrough_path: path on that server, with placeholders of `path`; None takes `path`.
        passthrough_port: its port; None takes the chute's engine, or 8000 where there is none.
        passthrough_method: the verb that it gets.
        route_options: keyword arguments for FastAPI's route.
    """

    function: Callable[..., Any]
    name: str
    path: str
    method: str = "POST"
    input_schema: Any = None
    output_schema: Any = None
    minimal_input_schema: Any = None
    output_content_type: str = "application/json"
    stream: bool = False
    on_disconnect: DisconnectPolicy | None = None
    batch: "Batch | None" = None
    timeout: float | None = None
    warmup: Any = None
    passthrough: bool = False
    passthrough_path: str | None = None
    passthrough_port: int | None = None
    passthrough_method: str = "POST"
    route_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cancels_by_default(self) -> bool:
        """Whether a client that leaves ends its call where neither cord nor chute say."""
        return self.stream or self.batch is not None or self.passthrough

    @property
    def key(self) -> tuple[str, str]:
        """What must be unique: the verb and the normalised path."""
        return self.method, normal_path(self.path)


def make_cord(
    function: Callable[..., Any],
    *,
    public_api_path: str | None,
    method: str,
    public_api_method: str | None,
    path: str | None,
    output_content_type: str | None,
    stream: bool,
    on_disconnect: DisconnectPolicy | None,
    batch: "Batch | None",
    timeout: float | None,
    options: Mapping[str, Any],
    **described: Any,
) -> Cord:
    """Check what a `@chute.cord(...)` says and return its description.

    Raises:
        InvalidPath: the path has a form that no request can have.
        DefinitionError: anything else is wrong.
    """
    check_function(function, "cord")
    name = function.__name__
    # `path` is the public SDK's internal name of a cord: it serves when nothing public was given.
    address = public_api_path if public_api_path is not None else (path or f"/{name}")
    check_path(address, f"cord {name!r}")
    if on_disconnect is not None and on_disconnect not in DISCONNECT_POLICIES:
        raise DefinitionError(
            f"Invalid on_disconnect {on_disconnect!r} for cord {name!r}. Write 'cancel' or 'finish'."
        )
    if not isinstance(stream, bool):
        raise DefinitionError(f"Invalid stream {stream!r} for cord {name!r}. Write True or False.")
    if _is_generator(function) and not stream:
        raise DefinitionError(
            f"Cord {name!r} is a generator, so it streams. Write @chute.cord({address!r}, stream=True)."
        )
    if batch is not None:
        from chutes.chute.batch import check_batch

        check_batch(batch, function, stream=stream, passthrough=bool(described.get("passthrough")))
    _check_timeout(timeout, name)
    if described.get("warmup") is not None:
        from chutes.chute.warmup import check_warmup

        check_warmup(described["warmup"], function, address)
    for schema in ("input_schema", "output_schema", "minimal_input_schema"):
        _check_schema(schema, described.get(schema), name)
    for option in options:
        if option not in ROUTE_OPTIONS | _NEEDLESS:
            known = [*ROUTE_OPTIONS, *Cord.__slots__, "public_api_path", "public_api_method"]
            raise DefinitionError(f"A cord takes no {option!r}.{did_you_mean(option, known)}")
    return Cord(
        function=function,
        name=name,
        path=address,
        method=_check_method(
            method, public_api_method, name, is_upstreams=bool(described.get("passthrough"))
        ),
        **_forwarding(name, address, method, described),
        output_content_type=_check_content_type(output_content_type, name),
        stream=stream,
        on_disconnect=on_disconnect,
        batch=batch,
        timeout=timeout,
        route_options=MappingProxyType({key: options[key] for key in options if key not in _NEEDLESS}),
        **described,
    )


def check_function(function: object, noun: str) -> None:
    """Raise `DefinitionError` unless `function` can be called with the chute as its first argument."""
    if not callable(function) or not hasattr(function, "__name__"):
        raise DefinitionError(f"A {noun} is a function, not {function!r}.")
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(function).parameters.values())
    if parameters and parameters[0].kind in (*positional, inspect.Parameter.VAR_POSITIONAL):
        return
    rest = ", ".join(parameter.name for parameter in parameters)
    written = f"def {function.__name__}(self{', ' if rest else ''}{rest})"
    raise DefinitionError(
        f"The {noun} {function.__name__!r} takes no chute. Its first parameter is self: `{written}`."
    )


def check_path(path: object, owner: str) -> None:
    """Raise `InvalidPath` unless `path` is an absolute URL path, placeholders allowed."""
    if not isinstance(path, str) or not path.startswith("/"):
        proposal = f"/{path}" if isinstance(path, str) and path else "/generate"
        raise InvalidPath(
            f"Invalid path {path!r} for {owner}. A path starts with '/', for example {proposal!r}."
        )
    names = [match.group(1) for match in _PLACEHOLDER.finditer(path)]
    if not _LITERAL.fullmatch(_PLACEHOLDER.sub("", path)) or "//" in path:
        raise InvalidPath(
            f"Invalid path {path!r} for {owner}. It takes URL characters and placeholders such as '/users/{{user_id}}'."
        )
    if len(set(names)) < len(names):
        raise InvalidPath(f"Invalid path {path!r} for {owner}. Each placeholder needs a name of its own.")
    if normal_path(path) in _PROBES:
        raise InvalidPath(
            f"Invalid path {path!r} for {owner}. {' and '.join(_PROBES)} answer the probes; choose another."
        )


def normal_path(path: str) -> str:
    """The path without what does not tell two paths apart: a trailing slash, and the placeholders' names."""
    anonymous = _PLACEHOLDER.sub(lambda match: "{" + (match.group(2) or "str") + "}", path)
    return anonymous.rstrip("/") or "/"


def _is_generator(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _forwarding(name: str, address: str, method: object, described: Mapping[str, Any]) -> dict[str, Any]:
    """The verb for the upstream: in the public SDK `method` is that, beside a `public_api_method`."""
    if not described.get("passthrough"):
        return {}
    from chutes.chute.passthrough import check_passthrough

    check_passthrough(name, address, described["passthrough_path"], described["passthrough_port"])
    return {"passthrough_method": _verb(method, name)}


def _check_method(method: object, public_api_method: object, name: str, *, is_upstreams: bool) -> str:
    if public_api_method is None:
        return _verb(method, name)
    if not is_upstreams or method == public_api_method:
        # Nothing else than the old spelling says that the verbs of chute and upstream differ.
        warnings.warn(
            f"public_api_method is deprecated: write method={public_api_method!r} for cord {name!r}.",
            DeprecationWarning,
            stacklevel=4,
        )
    return _verb(public_api_method, name)


def _verb(method: object, name: str) -> str:
    verb = method.upper() if isinstance(method, str) else ""
    if verb not in METHODS:
        raise DefinitionError(
            f"Invalid method {method!r} for cord {name!r}. It takes one of {', '.join(METHODS)}."
        )
    return verb


def _check_timeout(timeout: object, name: str) -> None:
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise DefinitionError(
            f"Invalid timeout {timeout!r} for cord {name!r}. It takes seconds, more than 0, for example timeout=30."
        )


def _check_schema(parameter: str, schema: object, name: str) -> None:
    """Refuse a value in the place of a type; which types can be read and written is seen when the cord is served."""
    if isinstance(schema, str | bytes | int | float | list | tuple | set):
        proposal = "Write a type, such as a model, or a JSON schema as a dict."
    elif parameter != "minimal_input_schema" and hasattr(type(schema), "model_fields"):
        proposal = f"Write the model itself: {parameter}={type(schema).__name__}."
    else:
        return
    raise DefinitionError(f"Invalid {parameter} {schema!r} for cord {name!r}. {proposal}")


def _check_content_type(content_type: object, name: str) -> str:
    if content_type is None:
        return "application/json"
    if not isinstance(content_type, str) or not re.fullmatch(r"[\w.+-]+/[\w.+*-]+(\s*;.*)?", content_type):
        raise DefinitionError(
            f"Invalid output_content_type {content_type!r} for cord {name!r}. It takes a media type such as 'image/png'."
        )
    return content_type

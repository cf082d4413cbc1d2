"""The constructor values of a chute, checked and frozen."""

import re
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from chutes.errors import DefinitionError
from chutes.suggestions import did_you_mean

if TYPE_CHECKING:
    from chutes.chute.engine_arguments import EngineArguments
    from chutes.chute.node_selector import NodeSelector
    from chutes.image import Image

__all__ = ["DISCONNECT_POLICIES", "FASTAPI_OPTIONS", "ChuteConfig", "DisconnectPolicy", "check_installed"]

DisconnectPolicy = Literal["cancel", "finish"]
DISCONNECT_POLICIES: tuple[DisconnectPolicy, ...] = ("cancel", "finish")

FASTAPI_OPTIONS = frozenset(
    {
        "callbacks", "contact", "debug", "default_response_class", "dependencies", "deprecated", "description",
        "docs_url", "exception_handlers", "form_limits", "generate_unique_id_function", "include_in_schema",
        "license_info", "lifespan", "middleware", "on_shutdown", "on_startup", "openapi_external_docs",
        "openapi_tags", "openapi_url", "redirect_slashes", "redoc_url", "responses", "root_path",
        "root_path_in_servers", "routes", "separate_input_output_schemas", "servers", "strict_content_type",
        "summary", "swagger_ui_init_oauth", "swagger_ui_oauth2_redirect_url", "swagger_ui_parameters", "telemetry",
        "terms_of_service", "title", "version", "webhooks",
    }
)  # fmt: skip
"""What `FastAPI(...)` takes; a test compares it with the installed version, so that defining stays import-free."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TAGLINE_LIMIT = 100
# Each option with the value that promises a protection, and what holds instead.
_WITHOUT_EFFECT = {
    "allow_external_egress": (
        False,
        "has an effect on Kubernetes alone, by a NetworkPolicy. Elsewhere, forbid it in the network of the machine.",
    ),
    "encrypted_fs": (True, "has no effect here. Encrypt the volume that the container runs on."),
    "tee": (True, "has no effect here. Nothing here attests the machine."),
    "lock_modules": (True, "has no effect here. Python modules stay changeable at run time."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChuteConfig:
    """A read-only view of every value that a `Chute` was made with.

    Attributes:
        username: owner of the chute; 1 to 63 characters of a-z, 0-9 and '-'.
        name: name of the chute, under the same rule.
        image: a container image reference, or an `Image` recipe.
        concurrency: how many cord calls run at once, at most.
        max_instances: how many replicas a deployment may grow to.
        shutdown_after_seconds: idle seconds after which a deployment may scale to zero.
        scaling_threshold: share of `concurrency` in use, 0 to 1, above which a deployment grows.
        passthrough_headers: headers that passthrough cords add for their upstream.
        max_queue: how many more calls wait for a slot before others are refused.
        max_body_size: bytes of a request's body, at most.
        on_disconnect: what a client that leaves does to running calls; None leaves it to the kind of cord.
        drain_delay: seconds during which work is still accepted after the signal to stop.
        shutdown_grace: seconds that requests in flight get to finish.
        sse_keep_alive: seconds after which a silent stream of events gets a comment; 0 sends none.
        stall_limit: seconds for which code may block the event loop before `/livez` fails; 0 sets no limit.
        max_jobs: runs of jobs at once in one process, at most; None is 1 for a chute that asks for a GPU, else 4.
        model_name: the model that the chute serves through an engine; None serves none.
        engine: the engine: `auto`, or its name.
        engine_args: further options of the engine.
        engine_python: the interpreter of the environment that has the engine.
        fastapi_options: keyword arguments for the `FastAPI` application.
    """

    username: str
    name: str
    image: "str | Image"
    tagline: str = ""
    readme: str = ""
    standard_template: str | None = None
    revision: str | None = None
    node_selector: "NodeSelector | None" = None
    concurrency: int = 1
    max_instances: int = 1
    shutdown_after_seconds: int = 300
    scaling_threshold: float = 0.75
    allow_external_egress: bool | None = None
    encrypted_fs: bool = False
    passthrough_headers: Mapping[str, str] = field(default_factory=dict)
    tee: bool = False
    lock_modules: bool | None = None
    max_queue: int = 64
    max_body_size: int = 64 * 1024 * 1024
    on_disconnect: DisconnectPolicy | None = None
    drain_delay: float = 0.0
    shutdown_grace: float = 30.0
    sse_keep_alive: float = 15.0
    stall_limit: float = 60.0
    max_jobs: int | None = None
    model_name: str | None = None
    engine: str = "auto"
    engine_args: "EngineArguments" = None
    engine_python: str | None = None
    fastapi_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_label("username", self.username)
        _check_label("name", self.name)
        _check_image(self.image)
        for text in ("tagline", "readme", "engine"):
            _check_type(text, getattr(self, text), str, "a string")
        for optional in ("standard_template", "revision", "model_name", "engine_python"):
            _check_type(optional, getattr(self, optional), (str, type(None)), "a string or None")
        _check_node_selector(self.node_selector)
        _check_type("passthrough_headers", self.passthrough_headers, Mapping, "a dict of headers")
        if self.passthrough_headers:
            from chutes.chute.passthrough import check_passthrough_headers

            check_passthrough_headers(self.passthrough_headers)
        for count, least, example in (
            ("concurrency", 1, 8),
            ("max_instances", 1, 8),
            ("max_queue", 0, 64),
            ("max_body_size", 0, 64 * 1024 * 1024),
        ):
            _check_count(count, getattr(self, count), least, example)
        if self.max_jobs is not None:
            _check_count("max_jobs", self.max_jobs, 1, 4)
        for seconds in (
            "shutdown_after_seconds",
            "drain_delay",
            "shutdown_grace",
            "sse_keep_alive",
            "stall_limit",
        ):
            _check_seconds(seconds, getattr(self, seconds))
        _check_threshold(self.scaling_threshold)
        _check_policy(self.on_disconnect)
        _check_options(self.fastapi_options)
        object.__setattr__(self, "passthrough_headers", MappingProxyType(dict(self.passthrough_headers)))
        object.__setattr__(self, "engine_args", _frozen(self.engine_args))
        object.__setattr__(self, "fastapi_options", MappingProxyType(dict(self.fastapi_options)))

    @property
    def uid(self) -> str:
        """The id that the public platform gives a chute of this username and name (UUID, version 5)."""
        import uuid

        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.username}::chute::{self.name}"))

    def warn_about_unused(self, stacklevel: int) -> None:
        """Warn, at the user's line, of values that promise a protection which does not exist here."""
        for option, (promise, truth) in _WITHOUT_EFFECT.items():
            if getattr(self, option) == promise:
                warnings.warn(f"{option}={promise} {truth}", stacklevel=stacklevel)
        if len(self.tagline) > _TAGLINE_LIMIT:
            warnings.warn(
                f"The tagline has {len(self.tagline)} characters; lists show {_TAGLINE_LIMIT}. Move the rest to readme.",
                stacklevel=stacklevel,
            )


def _frozen(arguments: "EngineArguments") -> "EngineArguments":
    if isinstance(arguments, Mapping):
        return MappingProxyType(dict(arguments))
    return tuple(arguments) if isinstance(arguments, list) else arguments


def _check_label(field_name: str, value: object) -> None:
    if not isinstance(value, str):
        raise DefinitionError(
            f"Invalid {field_name} {value!r}. Write a string, for example {field_name}='acme'."
        )
    if _LABEL.fullmatch(value):
        return
    rule = "1 to 63 characters of a-z, 0-9 and '-', not starting or ending with '-'"
    proposal = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:63].strip("-") or "my-chute"
    raise DefinitionError(f"Invalid {field_name} {value!r}. It takes {rule}, for example {proposal!r}.")


def _check_image(image: object) -> None:
    if isinstance(image, str):
        from chutes.image.reference import check_reference

        check_reference(image)
        return
    from chutes.image import Image

    if not isinstance(image, Image):
        raise DefinitionError(
            f"Invalid image {image!r}. Write a reference such as 'python:3.11', or an Image(username=…, name=…, tag=…)."
        )


def _check_node_selector(value: object) -> None:
    if value is not None:
        from chutes.chute.node_selector import NodeSelector

        _check_type("node_selector", value, NodeSelector, "a NodeSelector or None")


def _check_type(field_name: str, value: object, kind: type | tuple[type, ...], wanted: str) -> None:
    if not isinstance(value, kind):
        raise DefinitionError(f"Invalid {field_name} {value!r}. It takes {wanted}.")


def _check_count(field_name: str, value: object, least: int, example: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DefinitionError(
            f"Invalid {field_name} {value!r}. It takes a whole number, {least} or more, for example {field_name}={example}."
        )


def _check_seconds(field_name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise DefinitionError(
            f"Invalid {field_name} {value!r}. It takes seconds, 0 or more, for example {field_name}=30."
        )


def _check_threshold(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise DefinitionError(
            f"Invalid scaling_threshold {value!r}. It takes a share between 0 and 1, for example 0.75."
        )


def _check_policy(value: object) -> None:
    if value is not None and value not in DISCONNECT_POLICIES:
        raise DefinitionError(f"Invalid on_disconnect {value!r}. Write 'cancel' or 'finish'.")


def _check_options(options: Mapping[str, Any]) -> None:
    known = [*FASTAPI_OPTIONS, *ChuteConfig.__slots__]
    for option in options:
        if option not in FASTAPI_OPTIONS:
            raise DefinitionError(f"Neither Chute nor FastAPI takes {option!r}.{did_you_mean(option, known)}")


def check_installed(options: Iterable[str], known: Collection[str], version: str) -> None:
    """Raise `DefinitionError` for an option that is not in `known`, what the installed FastAPI takes.

    FastAPI itself passes over keyword arguments that it does not know.
    """
    for option in options:
        if option not in known:
            raise DefinitionError(
                f"FastAPI {version}, which is installed here, takes no {option!r}. "
                f"Leave it out, or install a newer one: pip install --upgrade fastapi."
            )

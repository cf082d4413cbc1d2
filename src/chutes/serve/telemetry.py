"""Whether a chute makes OpenTelemetry traces, and where they go."""

import logging
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from chutes.chute.config import ChuteConfig
from chutes.errors import SettingsError
from chutes.settings import OtelSettings

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from chutes.serve.tracing import Tracing

__all__ = ["tracing_of"]

_GROUP = "opentelemetry_traces_exporter"
_UNNAMED = "unknown_service"
_INSTALL = 'Write: pip install "openchutes[otel]"'


def tracing_of(config: ChuteConfig, otel: OtelSettings) -> "Tracing | None":
    """What makes the spans of a chute; None when it makes none.

    Raises:
        SettingsError: traces were asked for, and what they need is missing.
    """
    if otel.tracing == "off":
        return None
    try:
        exporters = _exporters(otel)
    except SettingsError as error:
        if otel.tracing == "asked":
            raise
        logging.getLogger("chutes.serve").warning("No traces are made. %s", error)
        return None
    from chutes import __version__
    from chutes.serve.tracing import Tracing

    return Tracing(partial(_provider, config, exporters), __version__)


def _exporters(otel: OtelSettings) -> list[Callable[[], Any]]:
    try:
        import opentelemetry.sdk.trace  # noqa: F401 - whether it is there
    except ImportError as exc:
        raise SettingsError(f"Traces need the OpenTelemetry SDK, which is not installed. {_INSTALL}") from exc
    return [_exporter(name, otel.protocol) for name in otel.exporters if name != "none"]


def _exporter(name: str, protocol: str) -> Callable[[], Any]:
    """The class of an exporter, by the name that the standard variables have for it."""
    entry = f"otlp_proto_{protocol.partition('/')[0]}" if name == "otlp" else name
    if name == "otlp" and protocol not in ("http/protobuf", "grpc"):
        raise SettingsError(
            f"Invalid OTEL_EXPORTER_OTLP_PROTOCOL {protocol!r}. Write http/protobuf, or grpc where its exporter is installed."
        )
    for found in entry_points(group=_GROUP, name=entry):
        try:
            return found.load()  # type: ignore[no-any-return] # what stands there is the author's
        except ImportError as exc:
            raise SettingsError(f"The exporter {entry!r} of traces cannot be imported: {exc}.") from exc
    if entry == "otlp_proto_http":
        raise SettingsError(f"Traces need the OpenTelemetry exporter, which is not installed. {_INSTALL}")
    package = f"opentelemetry-exporter-{entry.replace('_', '-')}"
    raise SettingsError(
        f"No exporter {entry!r} of traces is installed (OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_PROTOCOL). "
        f"Write: pip install {package}"
    )


def _provider(config: ChuteConfig, exporters: list[Callable[[], Any]]) -> "TracerProvider":
    """The provider of the process: the user's own, or one that is made now and sends to the collector."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    existing = trace.get_tracer_provider()
    if not isinstance(existing, trace.ProxyTracerProvider):
        return existing
    provider = TracerProvider(resource=_resource(config), shutdown_on_exit=False)
    for exporter in exporters:
        try:
            provider.add_span_processor(BatchSpanProcessor(exporter()))
        except Exception:
            logging.getLogger("chutes.serve").exception(
                "An exporter of traces cannot be used; the chute goes on."
            )
    trace.set_tracer_provider(provider)
    return provider


def _resource(config: ChuteConfig) -> Any:
    """What the standard variables say of the service; its name is the chute's where they give none."""
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create()
    if not str(resource.attributes["service.name"]).startswith(_UNNAMED):
        return resource
    named = {"service.name": config.name} | ({"service.version": config.revision} if config.revision else {})
    return resource.merge(Resource(named))

"""What the rest of the server asks of the current OpenTelemetry span, whether or not there is such a thing."""

import sys
from typing import Any

__all__ = ["error_type", "label_span", "record_error", "trace_ids", "traceparent"]

# Where nobody has imported it, no span can be current: asking costs a look into a dict.
_API = "opentelemetry.trace"


def trace_ids() -> tuple[str, str] | None:
    """The ids of the current trace and span, in hexadecimal; None outside of any."""
    api: Any = sys.modules.get(_API)
    if api is None:
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return api.format_trace_id(context.trace_id), api.format_span_id(context.span_id)


def traceparent() -> str | None:
    """The current span as another server takes it for its parent (W3C Trace Context); None outside of any."""
    api: Any = sys.modules.get(_API)
    if api is None:
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    trace, span = api.format_trace_id(context.trace_id), api.format_span_id(context.span_id)
    return f"00-{trace}-{span}-{int(context.trace_flags):02x}"


def label_span(**attributes: str) -> None:
    """Set attributes of the current span; `_` in a name stands for a dot."""
    api: Any = sys.modules.get(_API)
    if api is not None:
        span = api.get_current_span()
        span.set_attributes({name.replace("_", ".", 1): value for name, value in attributes.items()})


def record_error(error: BaseException) -> None:
    """Mark the current span as failed, with the exception and its traceback."""
    api: Any = sys.modules.get(_API)
    if api is None:
        return
    span = api.get_current_span()
    if span.is_recording():
        span.record_exception(error)
        span.set_attribute("error.type", error_type(error))
        span.set_status(api.StatusCode.ERROR)


def error_type(error: BaseException) -> str:
    """The class of an error with its module, as OpenTelemetry writes it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"

"""What a cord returns → an HTTP response."""

import inspect
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, TypeVar

from fastapi.utils import is_body_allowed_for_status_code
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json
from starlette.responses import Response

from chutes.errors import ChutesError
from chutes.json_values import as_plain, encode_json, to_plain

__all__ = ["AnswerError", "Answers", "is_json", "is_picture"]

T = TypeVar("T")

_IMAGE_FORMATS = {"image/jpeg": "JPEG", "image/jpg": "JPEG", "image/x-icon": "ICO", "image/svg+xml": None}

_SHOWN = 200
_MISFITS = (ValidationError, PydanticSerializationError, ValueError, TypeError, RecursionError)


class AnswerError(ChutesError):
    """A cord returned what cannot be sent; the request gets 500, the log this text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """How the results of one cord are sent.

    Attributes:
        owner: the cord's name, for error texts.
        content_type: the cord's `output_content_type`.
        schema: validates and serialises the result, when the cord has an `output_schema`.
        response_class: the application's `default_response_class`, when it has one of its own.
        status_code: of a plain result.
    """

    owner: str
    content_type: str = "application/json"
    schema: TypeAdapter[Any] | None = None
    response_class: type[Response] | None = None
    status_code: int = 200

    def respond(self, result: Any, injected: Response) -> Response:
        """The response for `result`, with status and headers that the function set on its `Response` parameter.

        Raises:
            AnswerError: the result breaks the output schema, or nothing can encode it.
        """
        if isinstance(result, Response):
            return result
        status_code = injected.status_code or self.status_code
        response = self._plain(result, status_code)
        response.headers.raw.extend(injected.headers.raw)
        return response

    def _plain(self, result: Any, status_code: int) -> Response:
        if not is_body_allowed_for_status_code(status_code):
            return Response(status_code=status_code)
        if is_json(self.content_type) and self.response_class is None:
            return Response(self.json_body(result), status_code=status_code, media_type=self.content_type)
        if self.schema is not None:
            value = self._checked(self.schema, result)
            result = self.schema.dump_python(value, mode="json", by_alias=True, fallback=as_plain)
        if is_json(self.content_type) and self.response_class is not None:
            return self.response_class(self._encoded(to_plain, result), status_code=status_code)
        encoded = self._raw(result)
        if encoded is not None:
            return Response(encoded, status_code=status_code, media_type=self.content_type)
        body = self._encoded(encode_json, result)
        return Response(body, status_code=status_code, media_type="application/json")

    def json_body(self, result: Any) -> bytes:
        """The JSON text of a plain result, validated and serialised by the output schema if there is one.

        Raises:
            AnswerError: the result breaks the output schema, or nothing can encode it.
        """
        schema = self.schema
        if schema is None:
            return self._encoded(encode_json, result)
        value = self._checked(schema, result)
        return self._encoded(lambda checked: _schema_json(schema, checked), value)

    def json_encoder(self) -> Callable[[Any], bytes]:
        """`json_body` for results that need no second thought; any other goes through that, which says what is wrong."""
        careful, schema = self.json_body, self.schema
        if schema is None:

            def encode(result: Any) -> bytes:
                try:
                    return to_json(result, by_alias=True, inf_nan_mode="null", fallback=as_plain)
                except _MISFITS:
                    return careful(result)

            return encode
        validate, dump = schema.validator.validate_python, schema.serializer.to_json

        def check_and_encode(result: Any) -> bytes:
            try:
                return dump(validate(result, from_attributes=True), by_alias=True, fallback=as_plain)
            except _MISFITS:
                return careful(result)

        return check_and_encode

    def _checked(self, schema: TypeAdapter[Any], result: Any) -> Any:
        try:
            return schema.validator.validate_python(result, from_attributes=True)
        except ValidationError as error:
            return self._checkedas_plain(schema, result, error)

    def _checkedas_plain(self, schema: TypeAdapter[Any], result: Any, misfit: ValidationError) -> Any:
        """Try once more with arrays as lists: pydantic itself takes no array for a list."""
        try:
            return schema.validate_python(to_plain(result))
        except (PydanticSerializationError, ValueError):
            raise AnswerError(
                f"Cord {self.owner!r} returned {_shown(result)}, which does not fit its output_schema: {misfit}"
            ) from misfit

    def _raw(self, result: Any) -> bytes | None:
        """The body when the result already is one; None sends it as JSON."""
        if isinstance(result, str):
            # Half a character pair is no UTF-8; a language model may well produce one.
            return result.encode(errors="replace")
        if isinstance(result, bytes | bytearray | memoryview):
            return bytes(result)
        if is_picture(result):
            return self._image(result)
        return None

    def _image(self, picture: Any) -> bytes:
        media_type = self.content_type.partition(";")[0].strip().lower()
        name = _IMAGE_FORMATS.get(media_type, media_type.removeprefix("image/").upper())
        if not media_type.startswith("image/") or name is None:
            raise AnswerError(
                f"Cord {self.owner!r} returned an image, but its output_content_type is {self.content_type!r}. "
                "Write output_content_type='image/png'."
            )
        if name == "JPEG" and picture.mode not in ("RGB", "L", "CMYK"):
            picture = picture.convert("RGB")
        buffer = io.BytesIO()
        try:
            picture.save(buffer, format=name)
        except (KeyError, OSError, ValueError) as error:
            raise AnswerError(
                f"Cord {self.owner!r} returned an image that cannot be encoded as {media_type}: {error}"
            ) from error
        return buffer.getvalue()

    def _encoded(self, encode: Callable[[Any], T], result: Any) -> T:
        try:
            return encode(result)
        except _MISFITS as error:
            if inspect.iscoroutine(result):
                raise AnswerError(_unawaited(self.owner, result)) from None
            raise AnswerError(
                f"Cord {self.owner!r} returned {_shown(result)}, which cannot be sent as JSON: {error}. Return text, numbers, "
                "lists, dicts or models; for bytes or an image give an output_content_type such as 'image/png'."
            ) from error


def _schema_json(schema: TypeAdapter[Any], value: Any) -> bytes:
    try:
        return schema.serializer.to_json(value, by_alias=True, fallback=as_plain)
    except PydanticSerializationError as error:
        if "surrogates not allowed" not in str(error):
            raise
        plain = schema.dump_python(value, mode="json", by_alias=True, fallback=as_plain)
        return json.dumps(plain, separators=(",", ":")).encode()


def is_json(content_type: str) -> bool:
    """Whether a media type holds JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def is_picture(value: Any) -> bool:
    """Whether a result is an image of the library PIL, which is not imported for it."""
    return type(value).__module__.partition(".")[0] == "PIL" and hasattr(value, "save")


def _unawaited(owner: str, coroutine: "CoroutineType[Any, Any, Any]") -> str:
    # Closed, it does not warn of the same once more, under the id of another request.
    coroutine.close()
    return (
        f"Cord {owner!r} returned what {coroutine.__name__!r} returns before anybody awaits it. "
        f"Write `await` before the call: return await …{coroutine.__name__}(…)."
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

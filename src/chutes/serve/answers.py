"""What a cord returns → an HTTP response."""

import io
import json
from dataclasses import dataclass
from typing import Any

from fastapi.encoders import jsonable_encoder
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python
from starlette.responses import Response

from chutes.errors import ChutesError

__all__ = ["AnswerError", "Answers", "encode_json", "is_json", "is_picture"]

_IMAGE_FORMATS = {"image/jpeg": "JPEG", "image/jpg": "JPEG", "image/x-icon": "ICO", "image/svg+xml": None}

_SHOWN = 200


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
        if self.schema is not None:
            result = self._checked(self.schema, result)
        elif is_json(self.content_type) and self.response_class is not None:
            return self.response_class(jsonable_encoder(result), status_code=status_code)
        if not is_json(self.content_type):
            encoded = self._raw(result)
            if encoded is not None:
                return Response(encoded, status_code=status_code, media_type=self.content_type)
        media_type = self.content_type if is_json(self.content_type) else "application/json"
        return Response(self._json(result), status_code=status_code, media_type=media_type)

    def _checked(self, schema: TypeAdapter[Any], result: Any) -> Any:
        try:
            value = schema.validate_python(result, from_attributes=True)
        except ValidationError as error:
            raise AnswerError(
                f"Cord {self.owner!r} returned {_shown(result)}, which does not fit its output_schema: {error}"
            ) from error
        return schema.dump_python(value, mode="json", by_alias=True)

    def _raw(self, result: Any) -> bytes | str | None:
        """The body when the result already is one; None sends it as JSON."""
        if isinstance(result, str):
            return result
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

    def _json(self, result: Any) -> bytes:
        try:
            return encode_json(result)
        except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
            raise AnswerError(
                f"Cord {self.owner!r} returned {_shown(result)}, which cannot be sent as JSON: {error}. Return text, numbers, "
                "lists, dicts or models; for bytes or an image give an output_content_type such as 'image/png'."
            ) from error


def encode_json(value: Any) -> bytes:
    """JSON text of models, dataclasses, plain values, and arrays and tensors (anything with `tolist()`).

    Raises:
        PydanticSerializationError: no rule fits a part of the value.
    """
    try:
        return to_json(value, by_alias=True, inf_nan_mode="null", fallback=_as_list)
    except PydanticSerializationError as error:
        if "surrogates not allowed" not in str(error):
            raise
        # Half a character pair is no UTF-8, but JSON can escape it.
        plain = to_jsonable_python(value, by_alias=True, inf_nan_mode="null", fallback=_as_list)
        return json.dumps(plain, separators=(",", ":")).encode()


def is_json(content_type: str) -> bool:
    """Whether a media type holds JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def is_picture(value: Any) -> bool:
    """Whether a result is an image of the library PIL, which is not imported for it."""
    return type(value).__module__.partition(".")[0] == "PIL" and hasattr(value, "save")


def _as_list(value: Any) -> Any:
    tolist = getattr(value, "tolist", None)
    if callable(tolist):
        return tolist()
    raise TypeError(f"no rule for {type(value).__module__}.{type(value).__qualname__}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

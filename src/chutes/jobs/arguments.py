"""The arguments of a job: a JSON object that is checked against the function's signature before it is accepted."""

import inspect
import json
from collections.abc import Mapping
from inspect import Parameter
from typing import Any, NotRequired

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from chutes.chute.job import Job
from chutes.errors import DefinitionError, InvalidArguments
from chutes.jobs.folders import OUTPUT_DIR
from chutes.json_values import encode_json
from chutes.loading.type_hints import read_hints

__all__ = ["ARGUMENTS_LIMIT", "Arguments"]

ARGUMENTS_LIMIT = 1024 * 1024
"""Bytes of a run's arguments, at most: they are kept in the database."""

_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class Arguments:
    """What one job's function takes.

    Attributes:
        takes_folder: it gets a folder for its files too, as `output_dir`.

    Raises:
        DefinitionError: a hint cannot be resolved, or has no place in JSON.
    """

    def __init__(self, job: Job) -> None:
        hints = read_hints(job.function, f"job {job.name!r}")
        parameters = list(inspect.signature(job.function).parameters.values())[1:]
        folder = next((one for one in parameters if one.name == OUTPUT_DIR and one.kind in _BY_NAME), None)
        if folder is not None:
            parameters.remove(folder)
        self._job = job.name
        self._positional = [one.name for one in parameters if one.kind is Parameter.POSITIONAL_ONLY]
        self._names = [one.name for one in parameters if one.kind not in _VARIADIC]
        self._takes_more = any(one.kind is Parameter.VAR_KEYWORD for one in parameters)
        self.takes_folder = folder is not None or (self._takes_more and OUTPUT_DIR not in self._names)
        fields = {
            one.name: _field(hints.get(one.name, Any), one) for one in parameters if one.kind not in _VARIADIC
        }
        title = "".join(part.capitalize() for part in job.name.replace("-", "_").split("_"))
        make: Any = TypedDict
        shape = make(f"{title}Arguments", fields)
        shape.__pydantic_config__ = ConfigDict(extra="allow" if self._takes_more else "forbid")
        try:
            self._adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(shape)
        except PydanticSchemaGenerationError as error:
            raise DefinitionError(
                f"Job {job.name!r} takes what no JSON holds: {str(error).splitlines()[0]}"
            ) from error

    def check(self, given: Mapping[str, Any]) -> str:
        """The JSON object to store.

        Raises:
            InvalidArguments: a value is missing, of the wrong type, unknown or too large.
        """
        if self.takes_folder and OUTPUT_DIR in given:
            raise InvalidArguments(
                f"Job {self._job!r} gets its {OUTPUT_DIR!r} from the chute, a new folder for each attempt. Leave it out."
            )
        try:
            text = encode_json(dict(given))
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidArguments(f"The arguments of job {self._job!r} cannot be JSON: {error}") from error
        if len(text) > ARGUMENTS_LIMIT:
            raise InvalidArguments(
                f"The arguments of job {self._job!r} have {len(text)} bytes; {ARGUMENTS_LIMIT} are taken. Store the data "
                "elsewhere, and pass where it is."
            )
        try:
            self._adapter.validate_json(text)
        except ValidationError as error:
            raise self._invalid(error, given) from None
        return text.decode()

    def read(self, text: str) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments for the function, from the JSON that `check` gave.

        Raises:
            InvalidArguments: the function takes something else since then.
        """
        try:
            named = dict(self._adapter.validate_json(text))
        except ValidationError as error:
            raise self._invalid(error, json.loads(text)) from None
        return [named.pop(name) for name in self._positional if name in named], named

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the object."""
        return self._adapter.json_schema()

    def _invalid(self, error: ValidationError, given: Mapping[str, Any]) -> InvalidArguments:
        details: list[dict[str, Any]] = [
            {**one, "loc": ("body", *one["loc"])}
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        wanted = ", ".join(self._names) or "no arguments"
        first = details[0]
        where = ".".join(map(str, first["loc"][1:])) or "the object"
        advice = f"Arguments go by name, as a JSON object; this job takes {wanted}."
        if len(self._names) == 1 and self._names[0] not in given:
            advice += f' Write {{"{self._names[0]}": …}}.'
        text = f"Invalid arguments for job {self._job!r}: {where}: {first['msg']}. {advice}"
        return InvalidArguments(text, details)


def _field(hint: Any, parameter: Parameter) -> Any:
    # A default is Python's business: what is left out is not stored.
    return hint if parameter.default is Parameter.empty else NotRequired[hint]

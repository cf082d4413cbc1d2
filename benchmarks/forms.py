"""The forms of cord that are measured: what a client sends to each."""

from dataclasses import dataclass

__all__ = ["FORMS", "Form"]

_BODY = b'{"prompt":"hello world","max_tokens":5,"temperature":0.5}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way to write the same echo.

    Attributes:
        name: what the tables call it.
        path: of the request.
        query: of the request, without its question mark.
        body: of the request; a request without one is a GET.
        title: what the table says of it.
        chunks: parts of one answer; instructions and seconds are told for each.
    """

    name: str
    path: str
    title: str
    query: str = ""
    body: bytes = b""
    chunks: int = 1

    @property
    def method(self) -> str:
        return "POST" if self.body else "GET"

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


FORMS = {
    form.name: form
    for form in (
        Form(name="model", path="/model", body=_BODY, title="one model"),
        Form(name="fields", path="/fields", body=_BODY, title="JSON fields by name"),
        Form(name="dict", path="/dict", body=_BODY, title="one dict"),
        Form(name="query", path="/query", query="prompt=hello&max_tokens=5", title="query of a GET"),
        Form(name="nothing", path="/nothing", title="no parameters"),
        Form(name="request", path="/request", body=_BODY, title="one model and `Request`"),
        Form(name="sync", path="/sync", body=_BODY, title="synchronous function"),
        Form(name="stream", path="/stream", chunks=200, title="one chunk of an SSE stream"),
    )
}

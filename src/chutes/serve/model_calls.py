"""What `self` has in a chute that serves a model: calls of that model, over its engine's own API."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, overload
from urllib.parse import urlsplit

import httpcore2
from starlette.exceptions import HTTPException

from chutes.client.answer import readable
from chutes.client.decode import Lines
from chutes.client.retry import is_refused
from chutes.errors import CallError, CallFailed, CallRefused, CallRejected, ConnectionFailed
from chutes.json_values import encode_json
from chutes.serve.logs import current_request_id
from chutes.serve.passthrough_connections import Refused, Unanswered

if TYPE_CHECKING:
    from chutes.serve.engine import ServedEngine
    from chutes.serve.passthrough_connections import Connections

__all__ = ["Message", "ModelCalls"]

Message = Mapping[str, Any]

_CHAT = "/v1/chat/completions"
_COMPLETION = "/v1/completions"
_MOST_TOKENS = 256
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
_END = b"[DONE]"


class ModelCalls:
    """Calls of the model that a chute serves. They take no slot of the chute: the engine has a queue of its own.

    Each raises a `CallError`: `CallRefused` while the engine is not ready, `CallRejected` for what it does not take,
    `CallFailed` when it fails, `ConnectionFailed` when it ends in the middle. One that is cancelled ends its work there.

    Args:
        engine: the chute's.
        connections: to the engine.
    """

    def __init__(self, engine: "ServedEngine", connections: "Connections") -> None:
        self._engine = engine
        self._connections = connections

    async def generate(self, prompt: str | Sequence[Message], *, raw: bool = False, **options: Any) -> str:
        """The model's answer to a prompt, as text.

        A model that has a chat template is asked in a conversation, any other is given the prompt to go on with: at most
        256 tokens, and a quarter of what it can hold, unless `max_tokens` says otherwise.

        Args:
            prompt: a text, or the messages of a conversation.
            raw: have the text continued, whatever the model has.
            **options: fields of the OpenAI API: max_tokens, temperature, stop, seed, …
        """
        if await self._as_chat(prompt, raw=raw):
            answer = await self.chat(_messages(prompt), **options)
            return str(_choice(answer).get("message", {}).get("content") or "")
        return str(_choice(await self.completion(prompt, **options)).get("text") or "")

    async def generate_stream(
        self, prompt: str | Sequence[Message], *, raw: bool = False, **options: Any
    ) -> AsyncGenerator[str]:
        """Yield the answer of `generate` piece by piece, as it is made."""
        if await self._as_chat(prompt, raw=raw):
            chunks = self.chat_stream(_messages(prompt), **options)
        else:
            chunks = self.completion_stream(prompt, **options)
        async with aclosing(chunks):
            async for chunk in chunks:
                for choice in chunk.get("choices") or ():
                    text = choice.get("text") or (choice.get("delta") or {}).get("content")
                    if text:
                        yield text

    async def chat(self, messages: Sequence[Message], **options: Any) -> dict[str, Any]:
        """The model's next message in a conversation: the whole answer of the OpenAI API, with tool calls and usage."""
        return await self._value("POST", _CHAT, {"messages": list(messages), **options})

    async def chat_stream(
        self, messages: Sequence[Message], **options: Any
    ) -> AsyncGenerator[dict[str, Any]]:
        """Yield the events of the OpenAI API that make up the answer of `chat`."""
        async with aclosing(self._events(_CHAT, {"messages": list(messages), **options})) as events:
            async for event in events:
                yield event

    async def completion(self, prompt: Any, **options: Any) -> dict[str, Any]:
        """How the model continues a text: the whole answer of the OpenAI API."""
        return await self._value("POST", _COMPLETION, {"prompt": prompt, **self._bounded(options)})

    async def completion_stream(self, prompt: Any, **options: Any) -> AsyncGenerator[dict[str, Any]]:
        """Yield the events of the OpenAI API that make up the answer of `completion`."""
        async with aclosing(
            self._events(_COMPLETION, {"prompt": prompt, **self._bounded(options)})
        ) as events:
            async for event in events:
                yield event

    @overload
    async def embed(self, texts: str, **options: Any) -> list[float]: ...

    @overload
    async def embed(self, texts: Iterable[str], **options: Any) -> list[list[float]]: ...

    async def embed(self, texts: str | Iterable[str], **options: Any) -> list[float] | list[list[float]]:
        """The vector of a text, or the list of those of several texts, in their order."""
        several = [texts] if isinstance(texts, str) else list(texts)
        if not several:
            return []
        answer = await self._value("POST", "/v1/embeddings", {"input": several, **options})
        entries = sorted(answer["data"], key=lambda entry: entry["index"])
        vectors: list[list[float]] = [entry["embedding"] for entry in entries]
        return vectors[0] if isinstance(texts, str) else vectors

    async def models(self) -> list[dict[str, Any]]:
        """The models that callers may name, as the OpenAI API lists them."""
        if not self._engine.checks_names:
            # Such an engine lists what it could serve, or gives away where the file is.
            about = {"object": "model", "created": self._engine.since, "owned_by": self._engine.name}
            return [{"id": name, **about} for name in self._engine.names]
        answer = await self._value("GET", "/v1/models", None)
        found: list[dict[str, Any]] = answer["data"]
        return found

    async def _as_chat(self, prompt: str | Sequence[Message], *, raw: bool) -> bool:
        if not isinstance(prompt, str):
            if raw:
                raise TypeError("raw=True continues a text: give generate() a str, not messages.")
            return True
        if raw:
            return False
        return await self._engine.converses()

    def _bounded(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options with a limit: without one some engines stop at 16 tokens, and others never."""
        if _LIMITS & options.keys():
            return options
        weights = self._engine.weights
        context = (weights.context_length if weights is not None else None) or _MOST_TOKENS * 4
        return {**options, "max_tokens": min(_MOST_TOKENS, context // 4)}

    async def _value(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        if body is not None and body.get("stream"):
            raise TypeError("stream=True: use generate_stream(), chat_stream() or completion_stream().")
        async with self._answer(method, path, body) as answer:
            content = await answer.aread()
        try:
            value: dict[str, Any] = json.loads(content)
        except ValueError:
            raise CallFailed(
                f"{self._engine.name} answered {path} with no JSON.", status=answer.status
            ) from None
        return value

    async def _events(self, path: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        async with self._answer("POST", path, {**body, "stream": True}) as answer:
            lines = Lines()
            async for chunk in answer.aiter_stream():
                for line in lines.feed(chunk):
                    if line.strip() == b"data: " + _END:
                        return
                    if line.startswith((b"data:", b"error:")):
                        yield self._event(line.partition(b":")[2])

    def _event(self, data: bytes) -> dict[str, Any]:
        try:
            event: dict[str, Any] = json.loads(data)
        except ValueError:
            raise CallFailed(f"{self._engine.name} sent an event that is no JSON.") from None
        if "choices" not in event and ("error" in event or "message" in event):
            raise CallFailed(f"{self._engine.name} failed in its answer: {readable(event)}", detail=event)
        return event

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> AsyncIterator[httpcore2.Response]:
        """A good answer, whose body has not been read; whatever ends the block ends the engine's work on it."""
        name = self._engine.name
        seconds = self._engine.retry_after()
        if seconds is not None:
            raise CallRefused(
                f"{name} is not ready to answer {path}. It may be in {seconds:.0f} s.",
                status=503,
                retry_after=seconds,
            )
        answer = await self._send(method, path, body)
        try:
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise _refusal(name, path, answer.status, await answer.aread())
            yield answer
        except (httpcore2.NetworkError, httpcore2.RemoteProtocolError) as error:
            raise ConnectionFailed(f"{name} ended in the middle of its answer to {path}.") from error
        finally:
            await answer.aclose()

    async def _send(self, method: str, path: str, body: dict[str, Any] | None) -> httpcore2.Response:
        engine, parts = self._engine, urlsplit(self._engine.url)
        host, port = (parts.hostname or "").encode(), parts.port or 80
        content = b"" if body is None else encode_json({"model": engine.served_name, **body})
        headers = [(b"host", b"%b:%d" % (host, port)), (b"accept", b"application/json, text/event-stream")]
        headers += [(name.encode(), value.encode()) for name, value in engine.headers.items()]
        if body is not None:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        if request_id := current_request_id.get():
            headers.append((b"x-request-id", request_id.encode()))
        url = httpcore2.URL(scheme=b"http", host=host, port=port, target=path.encode())
        try:
            return await self._connections.send(method.encode(), url, headers, content)
        except Refused as error:
            wait = engine.retry_after() or 1.0
            raise CallRefused(
                f"{engine.name} took no connection: {error}.", status=503, retry_after=wait
            ) from None
        except Unanswered as error:
            raise ConnectionFailed(f"{engine.name} gave no answer to {path}: {error}.") from None
        except HTTPException as error:
            raise ConnectionFailed(f"{engine.name} gave no answer to {path}: {error.detail}") from None


def _messages(prompt: str | Sequence[Message]) -> Sequence[Message]:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def _choice(answer: Mapping[str, Any]) -> dict[str, Any]:
    choices: list[dict[str, Any]] = answer.get("choices") or [{}]
    return choices[0]


def _refusal(name: str, path: str, status: int, content: bytes) -> CallError:
    try:
        detail: object = json.loads(content)
    except ValueError:
        detail = content.decode(errors="replace")
    said = readable(detail or HTTPStatus(status).phrase).rstrip(".")
    text = f"{name} answered {path} with {status}: {said}."
    if is_refused(status):
        return CallRefused(text, status=status, detail=detail)
    kind = CallFailed if status >= HTTPStatus.INTERNAL_SERVER_ERROR else CallRejected
    return kind(text, status=status, detail=detail)

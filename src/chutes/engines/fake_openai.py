"""The OpenAI API over a function from a prompt to an answer, as a Starlette application."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

__all__ = ["FakeOpenAI"]

_DIMENSIONS = 4


@dataclass(kw_only=True)
class FakeOpenAI:
    """What the fake server says, and what it was asked.

    Attributes:
        model: the one name that it knows.
        key: what callers have to present; empty: nothing.
        answer: makes the text of an answer; a token is a word with the space in front of it.
        pause: seconds before each token of a stream.
        engine: whose form `/tokenize` and `/detokenize` have: `llamacpp` has its own, all others vLLM's.
        failure: a status with which everything is refused while it is set.
        requests: the bodies of the calls so far, each with its path as `path`.
        aborted: the bodies of those whose caller left before the last token.
    """

    model: str
    key: str = ""
    answer: Callable[[str], str] = lambda prompt: f"You said: {prompt}"
    pause: float = 0.0
    engine: str = "fake"
    failure: int | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    aborted: list[dict[str, Any]] = field(default_factory=list)

    def application(self) -> Starlette:
        """The routes of a model server."""
        calls = {
            "/v1/chat/completions": self._chat,
            "/v1/completions": self._completions,
            "/v1/embeddings": self._embeddings,
            "/tokenize": self._tokenize,
            "/detokenize": self._detokenize,
        }
        routes = [Route(path, self._call(path, answer), methods=["POST"]) for path, answer in calls.items()]
        routes += [Route("/health", self._health), Route("/v1/models", self._models)]
        # As real engines do.
        shared = Middleware(CORSMiddleware, allow_origins=["*"])
        return Starlette(routes=routes, exception_handlers={404: _unknown_path}, middleware=[shared])

    def _call(self, path: str, answer: Callable[[dict[str, Any]], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            refusal = self._refusal(request.headers)
            if refusal is not None:
                return refusal
            try:
                body = await request.json()
            except ValueError:
                return _error(400, "The body is no JSON.")
            self.requests.append({**body, "path": path})
            if body.get("model", self.model) != self.model:
                return _error(404, f"The model {body['model']!r} does not exist.")
            return answer(body)

        return endpoint

    def _refusal(self, headers: Mapping[str, str]) -> Response | None:
        if self.failure is not None:
            return _error(self.failure, "The engine was told to fail.")
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "The key is missing or wrong.")
        return None

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({}, status_code=self.failure or 200)

    async def _models(self, request: Request) -> Response:
        listed = {"object": "list", "data": [{"id": self.model, "object": "model", "owned_by": "fake"}]}
        return self._refusal(request.headers) or JSONResponse(listed)

    def _chat(self, body: dict[str, Any]) -> Response:
        prompt = _text_of(body["messages"][-1]["content"]) if body.get("messages") else ""
        return self._generation(body, prompt, _Form("chat.completion", "message", "delta"))

    def _completions(self, body: dict[str, Any]) -> Response:
        return self._generation(body, str(body.get("prompt", "")), _Form("text_completion", "text", "text"))

    def _generation(self, body: dict[str, Any], prompt: str, form: "_Form") -> Response:
        tokens = _tokens(self.answer(prompt))
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or len(tokens)
        given, reason = tokens[:limit], "stop" if limit >= len(tokens) else "length"
        usage = {"prompt_tokens": len(_tokens(prompt)), "completion_tokens": len(given)}
        usage["total_tokens"] = sum(usage.values())
        about = {"id": "fake-1", "created": 0, "model": self.model}
        if body.get("stream"):
            with_usage = (body.get("stream_options") or {}).get("include_usage")
            chunks = form.chunks(given, reason, about, usage if with_usage else None)
            return StreamingResponse(self._stream(body, chunks), media_type="text/event-stream")
        choice = {"index": 0, "finish_reason": reason, **form.whole("".join(given))}
        return JSONResponse({**about, "object": form.object, "choices": [choice], "usage": usage})

    async def _stream(self, body: dict[str, Any], chunks: list[dict[str, Any]]) -> AsyncIterator[str]:
        ended = False
        try:
            for chunk in chunks:
                await asyncio.sleep(self.pause)
                yield f"data: {json.dumps(chunk)}\n\n"
            yield "data: [DONE]\n\n"
            ended = True
        finally:
            if not ended:
                self.aborted.append(body)

    def _embeddings(self, body: dict[str, Any]) -> Response:
        texts = [body["input"]] if isinstance(body.get("input"), str) else list(body.get("input", ()))
        data = [
            {"object": "embedding", "index": index, "embedding": _embedding(str(text))}
            for index, text in enumerate(texts)
        ]
        count = sum(len(_tokens(str(text))) for text in texts)
        usage = {"prompt_tokens": count, "total_tokens": count}
        return JSONResponse({"object": "list", "model": self.model, "data": data, "usage": usage})

    def _tokenize(self, body: dict[str, Any]) -> Response:
        if self.engine == "llamacpp":
            return JSONResponse({"tokens": [ord(character) for character in str(body.get("content", ""))]})
        numbers = [ord(character) for character in str(body.get("prompt", ""))]
        return JSONResponse({"tokens": numbers, "count": len(numbers), "max_model_len": 4096})

    def _detokenize(self, body: dict[str, Any]) -> Response:
        key = "content" if self.engine == "llamacpp" else "prompt"
        return JSONResponse({key: "".join(map(chr, body.get("tokens", ())))})


@dataclass(frozen=True, slots=True)
class _Form:
    """How one of the two calls writes an answer: in a message, or as plain text."""

    object: str
    whole_key: str
    part_key: str

    def whole(self, text: str) -> dict[str, Any]:
        return {self.whole_key: {"role": "assistant", "content": text} if self._is_chat else text}

    def chunks(
        self, tokens: list[str], reason: str, about: dict[str, Any], usage: dict[str, int] | None
    ) -> list[dict[str, Any]]:
        about = {**about, "object": f"{self.object}.chunk" if self._is_chat else self.object}
        parts = [{self.part_key: {"content": token} if self._is_chat else token} for token in tokens]
        if self._is_chat:
            parts.insert(0, {self.part_key: {"role": "assistant", "content": ""}})
        choices: list[dict[str, Any]] = [{"index": 0, "finish_reason": None, **part} for part in parts]
        choices.append({"index": 0, "finish_reason": reason, self.part_key: {} if self._is_chat else ""})
        chunks = [{**about, "choices": [choice]} for choice in choices]
        return [*chunks, {**about, "choices": [], "usage": usage}] if usage else chunks

    @property
    def _is_chat(self) -> bool:
        return self.whole_key == "message"


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def _text_of(content: object) -> str:
    """A message's text; content may also come in parts, of which some are pictures."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _embedding(text: str) -> list[float]:
    """The same numbers for the same text."""
    sums = [float(sum(text.encode()[start::_DIMENSIONS]) + start + 1) for start in range(_DIMENSIONS)]
    length = sum(value * value for value in sums) ** 0.5
    return [value / length for value in sums]


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "fake_error", "code": status}}, status)


async def _unknown_path(request: Request, _error_of_path: Exception) -> Response:
    return _error(404, f"There is no {request.url.path}.")

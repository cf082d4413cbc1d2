"""The engine of a chute while the chute is served: started before its hooks, stopped after them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from chutes.chute.chute import definition_of
from chutes.chute.engine import EngineSpec
from chutes.errors import EngineError, ModelError, StartupError
from chutes.serve.chat_template import has_chat_template
from chutes.serve.upstream import Upstream

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from chutes.chute.chute import Chute
    from chutes.engines import EngineStatus
    from chutes.models import Model
    from chutes.settings import Settings

__all__ = ["ModelServer", "ServedEngine", "served_engine"]

_NOT_STARTED_SECONDS = 1.0
_READY = "ready"
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_STATES = ("preparing", "starting", _READY, "backing off", "stopped", "failed")


class ModelServer(Upstream, Protocol):
    """What runs a model; `EngineRunner` and `FakeEngine` do."""

    @property
    def served_name(self) -> str:
        """The name that it knows its model under."""

    @property
    def status(self) -> "EngineStatus":
        """Where it stands now."""

    async def start(self) -> None:
        """Begin."""

    async def wait_ready(self) -> None:
        """Wait until it answers."""

    async def stop(self) -> None:
        """End it."""


class ServedEngine:
    """A chute's engine: the upstream of its passthrough cords, whether or not it runs at the moment.

    Args:
        spec: which model, and how.
        concurrency: calls that it gets at once, at most.
        engine: in the place of the one that `spec` asks for; for tests.

    Attributes:
        since: when it was made, in seconds since 1970.
    """

    def __init__(self, spec: EngineSpec, *, concurrency: int, engine: ModelServer | None = None) -> None:
        self.spec = spec
        self.given = engine
        self._concurrency = concurrency
        self.since = int(time.time())
        self._engine: ModelServer | None = None
        self._converses: bool | None = None

    @property
    def name(self) -> str:
        """What errors and logs call it."""
        return self._engine.name if self._engine is not None else "engine"

    @property
    def url(self) -> str:
        """Where it is; nowhere while it does not run."""
        return self._engine.url if self._engine is not None else "http://127.0.0.1:0"

    @property
    def headers(self) -> Mapping[str, str]:
        """What it wants every request to have."""
        return self._engine.headers if self._engine is not None else _NO_HEADERS

    def retry_after(self) -> float | None:
        """Seconds after which it is worth to ask again; None while it can be asked."""
        return self._engine.retry_after() if self._engine is not None else _NOT_STARTED_SECONDS

    @property
    def is_ready(self) -> bool:
        """Whether it takes calls now; any thread may ask."""
        return self._engine is not None and self._engine.status.state == _READY

    @property
    def speaks_llamacpp(self) -> bool:
        """Whether its `/tokenize` and `/detokenize` are llama.cpp's own."""
        return self._engine is not None and self._engine.status.engine == "llamacpp"

    @property
    def checks_names(self) -> bool:
        """Whether it refuses names of models that it does not serve; the others answer to any, or go and fetch it."""
        return self._engine is not None and self._engine.status.engine in ("vllm", "sglang")

    @property
    def served_name(self) -> str:
        """What callers write as `model`, and what the engine calls it."""
        return self._engine.served_name if self._engine is not None else self.spec.served_name

    @property
    def names(self) -> tuple[str, ...]:
        """What the engine itself knows the model under, the usual name first."""
        return (self.served_name, *self.spec.aliases)

    def renames(self, name: object) -> bool:
        """Whether the engine has to be told another name: it does not know the model's path, say."""
        return name not in self.names and name in (self.spec.served_name, self.spec.model_name)

    @property
    def weights(self) -> "Model | None":
        """The model on this machine, where it is known."""
        prepared = getattr(self._engine, "prepared", None)
        return prepared.model if prepared is not None else None

    async def converses(self) -> bool:
        """Whether the model knows how a conversation is written down; True where nobody can tell."""
        weights = self.weights
        if weights is None or any("--chat-template" in word for word in self.spec.arguments):
            return True
        if self._converses is None:
            self._converses = await asyncio.to_thread(has_chat_template, weights.path)
        return self._converses

    @property
    def needs_template(self) -> bool:
        """Whether it fails at conversations of a model without a template; others refuse them, or know one that fits."""
        return self._engine is not None and self._engine.status.engine == "transformers"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start it, and wait until it is ready; at the end stop it.

        Raises:
            StartupError: it did not get ready; the text has its last lines.
        """
        engine = self._engine = self.given or self._runner()
        try:
            try:
                await engine.start()
                await engine.wait_ready()
            except (EngineError, ModelError) as error:
                raise StartupError(str(error)) from error
            yield
        finally:
            await engine.stop()
            self._engine = None

    def report(self) -> dict[str, object]:
        """What `/health` says of it."""
        if self._engine is None:
            return {"state": "stopped", "model": self.served_name}
        status = self._engine.status
        return {
            "name": status.engine,
            "version": status.version,
            "model": self.served_name,
            "state": status.state,
            "restarts": status.restarts,
        }

    def collect(self) -> "Iterable[Metric]":
        """Its numbers, for `/metrics`; any thread may ask."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        status = self._engine.status if self._engine is not None else None
        state = status.state if status is not None else "stopped"
        states = GaugeMetricFamily("chutes_engine_state", "1 for the state of the engine.", labels=["state"])
        for one in _STATES:
            states.add_metric([one], float(one == state))
        yield states
        restarts = status.restarts if status is not None else 0
        yield CounterMetricFamily(
            "chutes_engine_restarts", "Times that the engine was started again.", value=restarts
        )
        seconds = (status.seconds_to_ready if status is not None else None) or 0.0
        yield GaugeMetricFamily(
            "chutes_engine_start_seconds", "Time that its last start took.", value=seconds
        )

    def _runner(self) -> ModelServer:
        # On demand: whoever gives an engine needs none of ours.
        from chutes.engines import EngineRunner

        logging.getLogger("chutes.engine").info("Preparing the model %s.", self.spec.model_name)
        return EngineRunner(self.spec, concurrency=self._concurrency)


def served_engine(chute: "Chute", settings: "Settings") -> ServedEngine | None:
    """The engine of a chute that serves a model; None for any other."""
    spec = definition_of(chute).engine
    if spec is None:
        return None
    if spec.python is None:
        spec = replace(spec, python=settings.engine_python)
    return ServedEngine(spec, concurrency=chute.config.concurrency)

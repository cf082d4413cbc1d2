"""What runs on the cluster: one replica of a chute, as Ray Serve starts it. Only this module needs Ray."""

import gc
import io
import json
import logging
import os
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

from ray import serve
from ray.experimental.internal_kv import _internal_kv_get, _pin_runtime_env_uri
from starlette.types import Message, Receive, Scope, Send

from chutes.chute.chute import Chute, definition_of
from chutes.deploy.ray.config import DEPLOYMENT
from chutes.deploy.ray.packages import SECRETS
from chutes.errors import DeployError, StartupError
from chutes.loading import load_chute
from chutes.serve.app import ServedChute, serve_chute
from chutes.serve.logs import configure_logging
from chutes.settings import Settings
from chutes.tracebacks import format_user_traceback

__all__ = ["Replica", "build"]

_TRIES = 2
_KEPT_SECONDS = 300_000_000


def build(args: dict[str, Any]) -> Any:
    """The application that Serve is to run; called on the cluster, once for each change of its code.

    Args:
        args: what `chutes.deploy.ray.config.application` wrote.
    """
    keep(args["packages"])
    deployment = serve.deployment(name=DEPLOYMENT, max_constructor_retry_count=_TRIES)
    return deployment(serve.ingress()(Replica)).bind(args)


class Replica:
    """One instance of a chute; its hooks run in here."""

    def __init__(self, args: Mapping[str, Any]) -> None:
        self._args = args
        self._served: ServedChute | None = None

    async def __serve_build_asgi_app__(self) -> "Front":
        """Start the chute; what this raises is shown as the reason why the revision did not get ready."""
        if self._args["secrets"]:
            os.environ.update(secrets_of(self._args["secrets"]))  # noqa: TID251 - the chute reads them there
        settings = Settings.from_env()
        configure_logging(settings, settings.log_level or "info")
        self._served = _served(load_chute(self._args["target"]), settings)
        self._served.watchdog.start()
        try:
            await self._served.lifecycle.start()
        except StartupError as error:
            # The log has the user's traceback; what is raised goes to whoever deploys, with all of Serve's frames.
            cause = format_user_traceback(error.__cause__ or error)
            logging.getLogger("chutes.serve").error("%s\n%s", error, cause)  # noqa: TRY400 - it has the traceback
            raise StartupError(str(error)) from None
        # As under `chutes run`: what was made until now need not be looked through again and again.
        gc.freeze()
        return Front(self._served)

    def reconfigure(self, _record: object) -> None:
        """Serve keeps the revisions in what it passes here; no replica needs them."""

    def check_health(self) -> None:
        """Have Serve replace this replica when code blocks its event loop for too long."""
        if self._served is not None:
            status, body = self._served.health.alive()
            if status >= 500:  # noqa: PLR2004 - a status that says so
                raise RuntimeError(body["detail"])


class Front:
    """The chute's ASGI entry, behind a proxy that gives answers their request id."""

    def __init__(self, served: ServedChute) -> None:
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or websocket; the lifespan has only the end left to do."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._served.entry(scope, receive, _without_second_id(scope, send))
        else:
            await self._served.entry(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._served.lifecycle.drain()
        await self._served.lifecycle.stop()
        self._served.watchdog.stop()
        await send({"type": "lifespan.shutdown.complete"})


def keep(packages: Iterable[str]) -> None:
    """Have the cluster keep packages while no replica runs from them.

    Ray forgets a package with the last process that uses it: a chute that is stopped while idle could not start again,
    nor could anybody go back to an older revision.
    """
    for uri in packages:
        _pin_runtime_env_uri(uri, expiration_s=_KEPT_SECONDS)


def secrets_of(uri: str) -> dict[str, str]:
    """The values of the secrets, from the cluster's own store: no configuration, page or log shows them.

    Raises:
        DeployError: the store has lost them.
    """
    content = _internal_kv_get(uri)
    if content is None:
        raise DeployError("The cluster has lost the values of this chute's secrets. Deploy it again.")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found: dict[str, str] = json.loads(archive.read(SECRETS))
    return found


def _served(chute: Chute, settings: Settings) -> ServedChute:
    """The chute's running self; a chute whose file uses `chute.app` has one already."""
    definition = definition_of(chute)
    if not isinstance(definition.running, ServedChute):
        definition.running = serve_chute(chute, settings)
    return definition.running


def _without_second_id(scope: Scope, send: Send) -> Send:
    """Serve's proxy adds the header that the chute has added already."""
    told = dict(scope["headers"]).get(b"x-request-id")

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start" and told is not None:
            headers = [pair for pair in message["headers"] if pair != (b"x-request-id", told)]
            message = {**message, "headers": headers}
        await send(message)

    return sent

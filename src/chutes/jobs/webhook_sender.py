"""One attempt to tell a receiver of the end of a run: a signed POST, to an address that was checked."""

import asyncio
import json
import ssl
import time
from datetime import UTC, datetime
from typing import Any

import httpx2
from standardwebhooks import Webhook as Signer

from chutes import __version__
from chutes.jobs.deliveries import Answer
from chutes.jobs.run import Run, iso
from chutes.jobs.webhook_addresses import Forbidden, permitted_addresses
from chutes.settings import WebhookSettings

__all__ = ["WebhookSender", "message_of"]

_TOTAL_SECONDS = 20.0
_CONNECT_SECONDS = 5.0
_GONE = 410
_ERROR_LIMIT = 500
_LONGEST_WAIT = 3600.0
_PORTS = {"http": 80, "https": 443}


class WebhookSender:
    """Sends over HTTP: no redirect is followed, no proxy is asked, and of the answer only its head is read.

    Args:
        settings: the secrets that sign, and where webhooks may go.
    """

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._tls: ssl.SSLContext | None = None

    async def send(self, url: str, run: Run) -> Answer:
        """See `Sender`."""
        if not self._settings.secrets:
            return Answer(error="CHUTES_WEBHOOK_SECRET is not set where the chute's jobs are run.")
        try:
            async with asyncio.timeout(_TOTAL_SECONDS):
                return await self._send(httpx2.URL(url), run)
        except TimeoutError:
            return Answer(error=f"no answer within {_TOTAL_SECONDS:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, Forbidden, UnicodeError) as error:
            return Answer(error=_text(error))

    async def _send(self, url: httpx2.URL, run: Run) -> Answer:
        host = url.raw_host.decode("ascii")
        port = url.port or _PORTS[url.scheme]
        addresses = await permitted_addresses(host, port, self._settings)
        if self._tls is None:
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context)
        body = message_of(run)
        headers = self._headers(run, body) | {"host": url.netloc.decode("ascii")}
        for last, address in zip([False] * (len(addresses) - 1) + [True], addresses, strict=True):
            # The name is asked for no second time: it might then stand for another address.
            request = httpx2.Request(
                "POST",
                url.copy_with(host=address),
                headers=headers,
                content=body.encode(),
                extensions={"sni_hostname": host, "timeout": _timeouts()},
            )
            try:
                return await self._exchange(request, self._tls)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if last:
                    raise
        raise RuntimeError("A host has at least one address.")

    async def _exchange(self, request: httpx2.Request, tls: ssl.SSLContext) -> Answer:
        # A connection for each: one that is kept was opened for the name of another receiver at the same address.
        async with httpx2.AsyncHTTPTransport(verify=tls, trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            try:
                return _read(response)
            finally:
                await response.aclose()

    def _headers(self, run: Run, body: str) -> dict[str, str]:
        now = int(time.time())
        message_id = f"msg_{run.id}_{run.finished_at:x}"
        moment = datetime.fromtimestamp(now, UTC)
        signatures = [Signer(secret).sign(message_id, moment, body) for secret in self._settings.secrets]
        return {
            "content-type": "application/json",
            "user-agent": f"openchutes/{__version__}",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": " ".join(signatures),
        }


def message_of(run: Run) -> str:
    """What the receiver is told: the same at each attempt."""
    data = run.shown()
    # How far the telling is changes from one attempt to the next, and the receiver knows where it is.
    del data["webhook"]
    message = {"type": f"job.{run.status.value}", "timestamp": iso(run.finished_at), "data": data}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _timeouts() -> dict[str, Any]:
    return httpx2.Timeout(_TOTAL_SECONDS, connect=_CONNECT_SECONDS).as_dict()


def _read(response: httpx2.Response) -> Answer:
    if response.is_success:
        return Answer()
    status = response.status_code
    if status == _GONE:
        return Answer(error="the receiver answered 410: it wants no more of them", is_final=True)
    where = f", to {response.headers['location']}" if response.has_redirect_location else ""
    said = f"the receiver answered {status}{where}"
    if where:
        said += "; redirects are not followed"
    wait = response.headers.get("retry-after", "")
    seconds = min(float(wait), _LONGEST_WAIT) if wait.isascii() and wait.isdigit() else 0.0
    return Answer(error=_storable(said), wait=seconds)


def _text(error: Exception) -> str:
    said = " ".join(str(error).split())
    return _storable(f"{type(error).__name__}: {said}" if said else type(error).__name__)


def _storable(text: str) -> str:
    return text.replace("\0", "").encode(errors="replace").decode()[:_ERROR_LIMIT]

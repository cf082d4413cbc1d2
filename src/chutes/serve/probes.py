"""`/livez`, `/readyz` and `/metrics` for a port of their own, answered from a thread: also while the loop is blocked."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from chutes.serve.holding import Answer, HeldAnswer, held_json
from chutes.serve.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from chutes.serve.app import ServedChute

__all__ = ["probe_answers"]


def probe_answers(served: "ServedChute") -> Answer:
    """What the probe port of a chute answers; called in a thread beside its event loop."""

    def metrics() -> HeldAnswer:
        served.background.measure_from_thread()
        headers = (("Content-Type", CONTENT_TYPE),)
        return HeldAnswer(status=200, headers=headers, body=served.meters.text())

    pages: dict[str, Callable[[], HeldAnswer]] = {
        "/livez": lambda: _probe(*served.health.alive()),
        "/readyz": lambda: _probe(*served.health.ready()),
        "/metrics": metrics,
    }

    def answer(method: str, path: str) -> HeldAnswer:
        page = pages.get(path)
        if page is None:
            return held_json(404, {"detail": f"This port answers {', '.join(pages)}."})
        if method not in ("GET", "HEAD"):
            return held_json(405, {"detail": "Method Not Allowed"}, ("Allow", "GET, HEAD"))
        try:
            return page()
        except Exception:
            logging.getLogger("chutes.serve").exception("The probe %s failed.", path)
            return held_json(500, {"detail": "The probe failed; the log says why."})

    return answer


def _probe(status: int, content: dict[str, str]) -> HeldAnswer:
    if status == HTTPStatus.OK:
        return held_json(status, content)
    return held_json(status, content, ("Retry-After", "1"))

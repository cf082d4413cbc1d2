"""What the body of a bad answer says, in one line."""

import json

from chutes.client.answer import readable

__all__ = ["said"]


def said(body: bytes) -> str:
    """The detail in a body of JSON, else its text; empty for an empty body."""
    text = body.decode(errors="replace").strip()
    if not text:
        return ""
    try:
        return readable(json.loads(text))
    except ValueError:
        return readable(text)

"""What happens to a run, as server-sent events: its state, its progress, the lines that it logs."""

import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

from chutes.jobs.run import Run, iso
from chutes.jobs.service import JobRun, JobService

__all__ = ["follow"]

_SILENCE_SECONDS = 15.0
_LOOK_SECONDS = 1.0


async def follow(service: JobService, run: JobRun, last_id: str = "") -> AsyncIterator[bytes]:
    """Events of a run until it has ended; `last_id` is the id of the last one that the client saw.

    An id names the last log line before it and the state that was told, so that a client that comes back misses nothing
    and hears nothing twice.
    """
    number, _, told = last_id.partition(":")
    seen = int(number) if number.isdigit() else 0
    silent = 0.0
    while True:
        now = await run.refresh()
        # Lines that were logged before the run ended are in the database by then.
        for event in await service.store.events(run.id, seen):
            seen, silent = event.number, 0.0
            line = {"at": iso(event.at), **json.loads(event.data)}
            yield _event(event.kind, f"{seen}:{told}", line)
        if (state := _state(now)) != told:
            kind = "progress" if _stage(told) == _stage(state) else "state"
            told, silent = state, 0.0
            data = now.shown() if kind == "state" else {"progress": now.progress, "note": now.note}
            yield _event(kind, f"{seen}:{told}", data)
        if now.is_final:
            return
        await service.wait_for_change(_LOOK_SECONDS)
        silent += _LOOK_SECONDS
        if silent >= _SILENCE_SECONDS:
            silent = 0.0
            yield b": keep-alive\n\n"


def _state(run: Run) -> str:
    """Status, attempt and progress in one word."""
    return f"{run.status.value}.{run.attempt}.{run.max_attempts}.{run.progress}.{_digest(run.note)}"


def _stage(state: str) -> str:
    return ".".join(state.split(".")[:3])


def _digest(note: str | None) -> str:
    """A short stand-in for a note, the same in every process."""
    return "" if note is None else f"{zlib.crc32(note.encode()):x}"


def _event(kind: str, event_id: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\nid: {event_id}\ndata: {json.dumps(data)}\n\n".encode()

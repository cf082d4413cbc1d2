"""The instances that a front knows of: read from a file, asked whether they are ready, one chosen for each connection."""

import asyncio
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Backend", "Table"]

_logger = logging.getLogger("chutes.deploy.front")
_HOST = "127.0.0.1"
_READY_PAUSE = 0.3
_UNREADY_PAUSE = 0.1
_PROBE_SECONDS = 5.0
_PROBE = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: chutes-front\r\nConnection: close\r\n\r\n"


@dataclass(slots=True, eq=False)
class Backend:
    """One instance.

    Attributes:
        name: what the container tool calls it.
        port: where it listens, on the loopback address.
        ready: its last answer to the question.
        open: connections that go there, those that are being made included.
        listed: it is in the file still; otherwise it gets no new connection.
        asked: set to have it asked at once.
    """

    name: str
    port: int
    ready: bool = False
    open: int = 0
    listed: bool = True
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return _HOST, self.port

    def fail(self) -> None:
        """It took no connection: none goes there until it says that it is ready."""
        self.ready = False
        self.asked.set()


class Table:
    """The instances of one chute.

    Args:
        file: JSON that is replaced as a whole: `generation`, `backends` with `name` and `port`, and `hold`: seconds for
            which a connection waits while nobody is ready.
    """

    def __init__(self, file: Path) -> None:
        self.generation = 0
        self.hold = 30.0
        self.backends: dict[str, Backend] = {}
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._probes: dict[Backend, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def read(self) -> None:
        """Take on what the file says; one that cannot be read leaves everything as it is."""
        try:
            status = self._file.stat()
            stamp = (status.st_ino, status.st_mtime_ns)
            if stamp == self._stamp:
                return
            said = json.loads(self._file.read_bytes())
            listed = {str(entry["name"]): int(entry["port"]) for entry in said["backends"]}
            generation, hold = int(said["generation"]), float(said["hold"])
        except (OSError, ValueError, KeyError, TypeError) as exc:
            _logger.warning("Cannot read '%s': %s.", self._file, exc)
            return
        self._stamp = stamp
        self._take(listed)
        self.generation, self.hold = generation, hold
        _logger.info("Generation %s: %s.", generation, ", ".join(listed) or "nothing runs")

    def choose(self) -> Backend | None:
        """The ready one with the fewest connections."""
        ready = [one for one in self.backends.values() if one.listed and one.ready]
        return min(ready, key=lambda one: one.open, default=None)

    def listed(self) -> list[Backend]:
        """Those that may be tried, ready or not."""
        return [one for one in self.backends.values() if one.listed]

    def release(self, backend: Backend) -> None:
        """A connection to it has ended."""
        backend.open -= 1
        if not backend.listed and not backend.open:
            self._forget(backend)

    async def change(self, seconds: float) -> None:
        """Wait until something is ready that was not, or the file says something else; at most so long."""
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._changed.wait()
        except TimeoutError:
            return

    def close(self) -> None:
        """Ask nobody any more."""
        for probe in self._probes.values():
            probe.cancel()

    def _take(self, listed: dict[str, int]) -> None:
        for backend in list(self.backends.values()):
            if listed.get(backend.name) != backend.port:
                backend.listed = False
                self._stop_asking(backend)
                if not backend.open:
                    self._forget(backend)
        for name, port in listed.items():
            known = self.backends.get(name)
            if known is None or not known.listed:
                backend = self.backends[name] = Backend(name, port)
                self._probes[backend] = asyncio.get_running_loop().create_task(self._watch(backend))
        self._tell()

    def _forget(self, backend: Backend) -> None:
        if self.backends.get(backend.name) is backend:
            del self.backends[backend.name]

    def _stop_asking(self, backend: Backend) -> None:
        probe = self._probes.pop(backend, None)
        if probe is not None:
            probe.cancel()

    def _tell(self) -> None:
        """Wake all who wait, and let the next ones wait anew."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _watch(self, backend: Backend) -> None:
        """Ask it for ever whether it is ready; one that says nothing in time is left as it was."""
        while True:
            backend.asked.clear()
            answer = await _is_ready(backend)
            if answer is not None and answer != backend.ready:
                _logger.info("%s is %s.", backend.name, "ready" if answer else "not ready")
                backend.ready = answer
                self._tell()
            pause = _READY_PAUSE if backend.ready else _UNREADY_PAUSE
            try:
                async with asyncio.timeout(pause):
                    await backend.asked.wait()
            except TimeoutError:
                continue
            # It has just refused a connection, and would refuse the next one too.
            await asyncio.sleep(_UNREADY_PAUSE)


async def _is_ready(backend: Backend) -> bool | None:
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(*backend.address)
            writer.write(_PROBE)
            line = await reader.readline()
    except TimeoutError:
        return None
    except (OSError, ValueError):
        return False
    finally:
        if writer is not None:
            writer.close()
    return line.split()[1:2] == [b"200"]

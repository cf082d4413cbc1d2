"""What proxies forward to: the plain ASGI server, in a process of its own beside the clients."""

import ctypes
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from benchmarks.serving import free_port

__all__ = ["start_upstream"]

_PR_SET_PDEATHSIG = 1
_READY_SECONDS = 30.0


def start_upstream() -> int:
    """Start it, and return its port once it answers; it ends with this process.

    Raises:
        RuntimeError: it did not answer in time.
    """
    port = free_port()
    options = (
        "--port",
        str(port),
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--no-access-log",
        "--log-level",
        "warning",
    )
    # Without the mark its work does not count as the server's.
    environment = {name: value for name, value in os.environ.items() if name != "BENCHMARK_MARK"}
    subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "benchmarks.servers.raw_asgi:app", *options],
        env=environment,
        preexec_fn=_beside_the_clients,  # noqa: PLW1509 - nothing has a thread yet
    )
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/stream", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
        else:
            return port
    raise RuntimeError(f"The upstream gave no answer in {_READY_SECONDS:.0f} s.")


def _beside_the_clients() -> None:
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - own or own)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

"""Load by wrk: what it is told, and what it says."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Load", "load", "parse"]

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a load generator saw.

    Attributes:
        requests: answers with a status of success.
        seconds: for which it ran.
        p50: milliseconds until half of the answers had come.
        p99: milliseconds until 99 of 100 had.
        failed: answers with another status, and connections that broke.
    """

    requests: int
    seconds: float
    p50: float
    p99: float
    failed: int

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.requests / self.seconds


def load(
    port: int,
    target: str,
    body: str | None,
    *,
    connections: int,
    seconds: float,
    core: int,
    folder: Path,
    host: str = "127.0.0.1",
) -> Load:
    """Keep `connections` clients busy from one core.

    Raises:
        RuntimeError: wrk is missing, or it failed.
    """
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is missing. On Debian and Ubuntu: apt-get install wrk.")
    script = folder / "request.lua"
    script.write_text(_script(body))
    command = [
        "taskset", "-c", str(core), "wrk", "--threads", "1", "--connections", str(connections),
        "--duration", f"{seconds:.0f}s", "--timeout", "30s", "--latency", "--script", str(script),
        f"http://{host}:{port}{target}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")
    return parse(done.stdout)


def _script(body: str | None) -> str:
    if body is None:
        return 'wrk.method = "GET"\n'
    return f'wrk.method = "POST"\nwrk.body = [=[{body}]=]\nwrk.headers["Content-Type"] = "application/json"\n'


def parse(text: str) -> Load:
    """What wrk printed.

    Raises:
        ValueError: it is not what wrk prints.
    """
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", text)
    quantiles = {
        int(percent): float(value) * _UNITS[unit]
        for percent, value, unit in re.findall(r"^ +(50|99)% +([\d.]+)(us|ms|s|m) *$", text, re.MULTILINE)
    }
    if total is None or len(quantiles) < 2:  # noqa: PLR2004 - the two percentiles
        raise ValueError(f"This is no report of wrk: {text}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    refused = int(bad.group(1)) if bad else 0
    return Load(
        requests=int(total.group(1)) - refused,
        seconds=float(total.group(2)) * _UNITS[total.group(3)] / 1e3,
        p50=quantiles[50],
        p99=quantiles[99],
        failed=refused + (sum(map(int, sockets.groups())) if sockets else 0),
    )

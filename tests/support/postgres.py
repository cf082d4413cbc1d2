"""A real PostgreSQL on 127.0.0.1, shared by all test processes of a session."""

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.child_processes import is_alive
from support.require import require

SECONDS = 60
PASSWORD = "swordfish"
# Tests look at what is stored, not at what survives a power cut.
OPTIONS = (
    "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
    "-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "log_min_messages=fatal",
)  # fmt: skip


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        programs: folder of `initdb` and the others.
        data: its folder.
        port: on 127.0.0.1.
        pid: of its first process.
    """

    programs: str
    data: str
    port: int
    pid: int

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        """The address of a database."""
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{database}"

    def restarted(self, mode: str = "immediate") -> "Server":
        """The same data and port, served anew; "immediate" is as after a crash."""
        self.stop(mode)
        return self.started()

    def started(self) -> "Server":
        """The same data and port, served anew."""
        return start(self.programs, self.data, self.port)

    def stop(self, mode: str = "immediate") -> None:
        """End it; the data stay."""
        signals = {"immediate": signal.SIGQUIT, "fast": signal.SIGINT}
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signals[mode])
        deadline = time.monotonic() + SECONDS
        while is_alive(self.pid):
            assert time.monotonic() < deadline, f"PostgreSQL does not end:\n{log(self.data)}"
            # It is our child when we started it, and then a zombie until somebody asks.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
            time.sleep(0.02)


@contextlib.contextmanager
def own_server() -> Iterator[Server]:
    """A server for one test, which may stop it; yields the first one."""
    server = create()
    try:
        yield server
    finally:
        with contextlib.suppress(FileNotFoundError):
            pid = int(Path(server.data, "data", "postmaster.pid").read_text().split()[0])
            Server(server.programs, server.data, server.port, pid).stop()
        shutil.rmtree(server.data, ignore_errors=True)


@contextlib.contextmanager
def shared_server(folder: Path) -> Iterator[Server]:
    """The server of a session: the first who comes starts it, the last who leaves ends it.

    Args:
        folder: known to all test processes of the session, and to no other's.
    """
    note = folder / "postgres.json"
    with (folder / "postgres.users").open("w") as users:
        with _alone(folder):
            if not note.exists():
                note.write_text(json.dumps(vars(create())))
            server = Server(**json.loads(note.read_text()))
            # Held until we leave; the system lets go of it if we are killed.
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield server
        finally:
            with _alone(folder), contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                note.unlink()
                server.stop()
                shutil.rmtree(server.data, ignore_errors=True)


def create() -> Server:
    """A new, empty server."""
    programs = _programs()
    accounts = {account.pw_name for account in pwd.getpwall()}
    require(
        os.geteuid() or "postgres" in accounts,
        "PostgreSQL does not run as root, and there is no user postgres.",
    )
    data = tempfile.mkdtemp(prefix="chutes-postgres-")
    passwords = Path(data, "password")
    passwords.write_text(PASSWORD)
    if not os.geteuid():
        account = pwd.getpwnam("postgres")
        for path in (data, passwords):
            os.chown(path, account.pw_uid, account.pw_gid)
    command = [
        f"{programs}/initdb", "--pgdata", f"{data}/data", "--username=postgres", "--auth=scram-sha-256",
        f"--pwfile={passwords}", "--encoding=UTF8", "--no-locale", "--no-sync",
    ]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, cwd=data, **_as_nobody_special())
    assert made.returncode == 0, made.stderr
    for _ in range(5):
        server = start(programs, data, _free_port())
        if is_alive(server.pid):
            return server
    raise AssertionError(f"PostgreSQL does not start:\n{log(data)}")


def start(programs: str, data: str, port: int) -> Server:
    """Serve the data; when that fails, the process has ended."""
    command = [f"{programs}/postgres", "-D", f"{data}/data", "-p", str(port), *OPTIONS]
    with Path(data, "log").open("a") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=data, **_as_nobody_special()
        )
    deadline = time.monotonic() + SECONDS
    status = Path(data, "data", "postmaster.pid")
    while process.poll() is None:
        assert time.monotonic() < deadline, f"PostgreSQL does not start:\n{log(data)}"
        with contextlib.suppress(FileNotFoundError):
            lines = status.read_text().splitlines()
            if lines[:1] == [str(process.pid)] and lines[-1].strip() == "ready":
                break
        time.sleep(0.02)
    # Whoever stops it may be another process: nobody waits for this one here.
    process.returncode = 0
    return Server(programs, data, port, process.pid)


def log(data: str) -> str:
    """The end of what the server wrote."""
    return Path(data, "log").read_text()[-3000:]


def _programs() -> str:
    """Debian keeps them out of the way of others."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = [str(path) for path in reversed(debian) if (path / "initdb").exists()]
    if program := shutil.which("initdb"):
        found.append(str(Path(program).resolve().parent))
    require(found, "No PostgreSQL on this machine.")
    return found[0]


def _as_nobody_special() -> dict[str, object]:
    """PostgreSQL refuses to run as root."""
    return {} if os.geteuid() else {"user": "postgres", "group": "postgres", "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""A PostgreSQL of its own on 127.0.0.1 that writes through to the disk, for the time of a measurement."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["Server", "server"]

# The durable defaults, and room for engines that open many connections.
_OPTIONS = (
    "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=on -c synchronous_commit=on "
    "-c max_connections=200 -c shared_buffers=128MB -c log_min_messages=fatal"
)


class Server:
    """A running server.

    Args:
        programs: folder of `initdb` and the others.
        folder: where its files are.
        environment: of its processes; this one's when left out.
    """

    def __init__(self, programs: Path, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._call(
            "initdb", "--pgdata", str(self._data), "--username=postgres", "--auth=trust", "--encoding=UTF8"
        )
        self.start()

    @property
    def version(self) -> str:
        """As it says itself."""
        said = subprocess.run(
            [self._programs / "postgres", "--version"], capture_output=True, text=True, check=True
        )
        return said.stdout.split()[2]

    def url(self, database: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def database(self, name: str) -> str:
        """The address of a new, empty database."""
        self._call("psql", "--quiet", "--command", f"CREATE DATABASE {name}", self.url())
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database, whoever uses it."""
        self._call("psql", "--quiet", "--command", f"DROP DATABASE {name} WITH (FORCE)", self.url())

    def start(self) -> None:
        """Serve what the folder holds."""
        options = f"-p {self._port} {_OPTIONS}"
        log = str(self._folder / "log")
        self._call("pg_ctl", "start", "-w", "-s", "-D", str(self._data), "-l", log, "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """End it; "immediate" is as a crash."""
        self._call("pg_ctl", "stop", "-w", "-s", "-D", str(self._data), "-m", mode)

    def _call(self, program: str, *words: str) -> None:
        user = {} if os.geteuid() else {"user": "postgres", "group": "postgres", "extra_groups": []}
        subprocess.run(
            [self._programs / program, *words],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            env=self._environment,
            **user,
        )


@contextlib.contextmanager
def server(environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A new, empty server.

    Raises:
        RuntimeError: this machine has none.
    """
    folder = Path(tempfile.mkdtemp(prefix="chutes-benchmark-"))
    try:
        if not os.geteuid():
            # It refuses to run as root.
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
        found = Server(_programs(), folder, environment)
        try:
            yield found
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                found.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Debian keeps them out of the way of others."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    for folder in reversed(debian):
        if (folder / "initdb").exists():
            return folder
    if program := shutil.which("initdb"):
        return Path(program).resolve().parent
    raise RuntimeError("The benchmarks of jobs need PostgreSQL: apt-get install postgresql.")

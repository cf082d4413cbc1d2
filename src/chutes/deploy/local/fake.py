"""A container tool that exists only in memory, for tests of what deploys to this machine."""

import http.server
import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chutes.deploy.local.front import FRONT
from chutes.deploy.local.runner import NONE, Finished

__all__ = ["FakeContainer", "FakeRunner"]


@dataclass(slots=True, kw_only=True)
class FakeContainer:
    """A container: an HTTP server that is ready, or what a front says of itself.

    Attributes:
        name: its name.
        words: the command that made it.
        variables: its environment.
        status: as the tool tells it.
        code: its exit code.
        restarts: how often it was started again.
    """

    name: str
    words: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    status: str = "running"
    code: int = 0
    restarts: int = 0
    server: socketserver.TCPServer | None = None

    def all_of(self, option: str) -> list[str]:
        """The values of an option."""
        return [self.words[n + 1] for n, word in enumerate(self.words) if word == option]

    def label(self, name: str) -> str:
        """The value of a label."""
        pairs = dict(text.partition("=")[::2] for text in self.all_of("--label"))
        return pairs.get(name, "")


class FakeRunner:
    """A `Runner` whose containers answer `/readyz` on the ports that they are given.

    Attributes:
        name: podman or docker.
        commands: all commands that were run, in order.
        containers: by name.
        volumes: names of volumes.
        secrets: values of secrets by name.
        broken: images whose containers end at once, and what they write.
        mode: the network that containers get.
    """

    def __init__(self, name: str = "podman") -> None:
        self.name = name
        self.commands: list[list[str]] = []
        self.containers: dict[str, FakeContainer] = {}
        self.volumes: set[str] = set()
        self.secrets: dict[str, str] = {}
        self.broken: dict[str, list[str]] = {}
        self.mode = "bridge"

    def run(
        self,
        words: Sequence[str],
        *,
        given: str | None = None,
        variables: Mapping[str, str] = NONE,
        shown: bool = False,
    ) -> Finished:
        """Do what podman would."""
        del shown
        self.commands.append(list(words))
        verbs: dict[str, Callable[[], Finished]] = {
            "run": lambda: self._run(words, variables),
            "create": lambda: self._create(words),
            "start": lambda: self._each(words[1:], self._start),
            "stop": lambda: self._each(words[3:], self._stop),
            "rm": lambda: self._each([word for word in words[1:] if word in self.containers], self._remove),
            "ps": lambda: self._ps(words),
            "container": lambda: self._inspect(words[2:]),
            "volume": lambda: self._volume(words[1], words[2]),
            "secret": lambda: self._secret(words, given or ""),
        }
        return verbs[words[0]]()

    def lines(self, commands: Sequence[Sequence[str]]) -> Iterator[tuple[int, str]]:
        """What broken containers wrote, and a line of each other."""
        for number, words in enumerate(commands):
            self.commands.append(list(words))
            container = self.containers[words[-1]]
            stamp = f"{number:04} " if "--timestamps" in words else ""
            said = self.broken.get(_image(container.words), [f"{container.name} says hello"])
            yield from ((number, stamp + line) for line in said)

    def crash(self, name: str, *, code: int = 137) -> None:
        """Have a container end by itself."""
        _close(self.containers[name])
        self.containers[name].status, self.containers[name].code = "exited", code

    def close(self) -> None:
        """End all containers."""
        for container in self.containers.values():
            _close(container)

    def _run(self, words: Sequence[str], variables: Mapping[str, str]) -> Finished:
        if "--rm" in words:
            return Finished(0)
        given = dict(text.partition("=")[::2] for text in _values(words, "--env") if "=" in text)
        container = FakeContainer(
            name=_values(words, "--name")[0], words=words, variables=given | dict(variables)
        )
        self.containers[container.name] = container
        self._start(container.name)
        return Finished(0, "1f2e")

    def _create(self, words: Sequence[str]) -> Finished:
        name = _values(words, "--name")[0]
        self.containers[name] = FakeContainer(name=name, words=words, status="created")
        return Finished(0, "1f2e")

    def _start(self, name: str) -> None:
        container = self.containers[name]
        if _image(container.words) in self.broken and "--control" not in container.words:
            container.status, container.code = "exited", 1
            return
        container.status, container.server = "running", _server(container)
        threading.Thread(target=container.server.serve_forever, args=(0.01,), daemon=True).start()

    def _stop(self, name: str) -> None:
        _close(self.containers[name])
        self.containers[name].status = "exited"

    def _remove(self, name: str) -> None:
        _close(self.containers.pop(name))

    def _each(self, names: Sequence[str], action: Callable[[str], None]) -> Finished:
        for name in names:
            action(name)
        return Finished(0)

    def _ps(self, words: Sequence[str]) -> Finished:
        filters = [text.removeprefix("label=").partition("=")[::2] for text in _values(words, "--filter")]
        found = [
            one.name
            for one in self.containers.values()
            if all(one.label(key) == value for key, value in filters)
        ]
        return Finished(0, "\n".join(found))

    def _inspect(self, words: Sequence[str]) -> Finished:
        if words[0] == "--format":
            container = self.containers[words[2]]
            pairs = [f"{key}={value}" for key, value in container.variables.items()]
            return Finished(0, self.mode if "NetworkMode" in words[1] else json.dumps(pairs))
        found = [self.containers[name] for name in words if name in self.containers]
        values = [
            {
                "Name": f"/{one.name}",
                "State": {"Status": one.status, "ExitCode": one.code},
                "RestartCount": one.restarts,
            }
            for one in found
        ]
        missing = len(found) < len(words)
        return Finished(125 if missing else 0, json.dumps(values), "no such container" if missing else "")

    def _volume(self, verb: str, name: str) -> Finished:
        if verb == "inspect":
            return Finished(0 if name in self.volumes else 1)
        (self.volumes.add if verb == "create" else self.volumes.discard)(name)
        return Finished(0, name)

    def _secret(self, words: Sequence[str], given: str) -> Finished:
        if words[1] == "create":
            self.secrets[words[2]] = given
        else:
            for name in words[2:]:
                self.secrets.pop(name, None)
        return Finished(0)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Write nothing."""


def _server(container: FakeContainer) -> socketserver.TCPServer:
    if controls := container.all_of("--control"):
        file = Path(container.all_of("--volume")[0].partition(":")[0], "backends.json")
        return _Server(("127.0.0.1", int(controls[0])), _front(file))
    port = int(container.variables["CHUTES_PORT"])
    if published := container.all_of("--publish"):
        port = int(published[0].split(":")[1])
    return _Server(("127.0.0.1", port), _Ready)


def _front(file: Path) -> type[socketserver.BaseRequestHandler]:
    class Told(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            said = json.loads(file.read_text(encoding="utf-8"))
            self.request.sendall(json.dumps({"front": FRONT, **said}).encode())

    return Told


def _close(container: FakeContainer) -> None:
    if container.server is not None:
        container.server.shutdown()
        container.server.server_close()
        container.server = None


def _values(words: Sequence[str], option: str) -> list[str]:
    return [words[n + 1] for n, word in enumerate(words) if word == option]


def _image(words: Sequence[str]) -> str:
    """The image of a front comes before its program's words."""
    return words[words.index("-c") - 1] if "-c" in words else words[-1]

"""A small model hub on 127.0.0.1, as far as `huggingface_hub` asks for it: models, revisions, files, and their troubles."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".gguf")
_API = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+?)(?:/(?P<what>revision|tree)/(?P<revision>[^/]+))?/?")
_FILE = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_STORED = re.compile(r"/stored/(?P<digest>[0-9a-f]{64})")


@dataclass(kw_only=True)
class HubModel:
    """A repository: the files of each commit, and which branch or tag stands where."""

    commits: dict[str, Mapping[str, bytes]]
    branches: dict[str, str]
    gated: bool = False
    private: bool = False


@dataclass
class ModelHub:
    """What the server has, what it saw, and what it is to do wrong.

    Attributes:
        models: repositories by name.
        token: what private and gated models ask for.
        requests: method and path of each request, with the Range that it had.
        breaks: after so many bytes of a large file the connection breaks; one number for each time.
        status: answer everything so, instead.
    """

    address: str = ""
    models: dict[str, HubModel] = field(default_factory=dict)
    token: str = "hf_right"
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    status: int | None = None

    def add(self, name: str, files: Mapping[str, bytes], *, branch: str = "main", **facts: bool) -> str:
        """Adds a model, or a commit to it; returns the commit."""
        content = repr((name, branch, sorted(files.items()))).encode()
        commit = hashlib.sha1(content).hexdigest()
        model = self.models.setdefault(name, HubModel(commits={}, branches={}, **facts))
        model.commits[commit] = dict(files)
        model.branches[branch] = commit
        return commit

    def fetched(self) -> list[str]:
        """Every file that was sent, in its order."""
        paths = [path for method, path, _ in self.requests if method == "GET"]
        return [name for path in paths if (name := self._name_of(path))]

    def content(self, digest: str) -> tuple[str, bytes]:
        """The large file with this SHA-256, and its name."""
        for model in self.models.values():
            for files in model.commits.values():
                for path, content in files.items():
                    if hashlib.sha256(content).hexdigest() == digest:
                        return path, content
        raise KeyError(digest)

    def _name_of(self, path: str) -> str:
        if stored := _STORED.fullmatch(path):
            return self.content(stored["digest"])[0]
        match = _FILE.fullmatch(path)
        return match["path"] if match and not match["path"].endswith(LARGE) else ""


@contextmanager
def running_hub() -> Iterator[ModelHub]:
    """A hub that answers until the end of the block."""
    hub = ModelHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[ModelHub]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        if self.hub.status is not None:
            self.say(self.hub.status, {"error": "The hub is told to fail."})
        elif match := _STORED.fullmatch(path):
            self.large(match["digest"])
        elif match := _FILE.fullmatch(path):
            self.file(match["name"], match["revision"], match["path"])
        elif match := _API.fullmatch(path):
            self.api(match["name"], match["what"], match["revision"] or "main")
        else:
            self.say(404, {"error": "Not found"})

    def api(self, name: str, what: str | None, revision: str) -> None:
        if (found := self.found(name, revision)) is None:
            return
        commit, files = found
        if what == "tree":
            self.say(200, [described(path, content) for path, content in files.items()])
        else:
            names = [{"rfilename": path} for path in files]
            self.say(200, {"_id": "0", "id": name, "sha": commit, "private": False, "siblings": names})

    def found(self, name: str, revision: str) -> tuple[str, Mapping[str, bytes]] | None:
        """The commit and its files, or None after an error was answered."""
        model = self.hub.models.get(name)
        said = self.headers.get("Authorization", "")
        is_known = said == f"Bearer {self.hub.token}"
        if said and not is_known:
            self.say(401, {"error": "Invalid credentials in Authorization header"}, message=True)
        elif model is None or (model.private and not is_known):
            self.say(404 if is_known else 401, {"error": "Repository not found"}, code="RepoNotFound")
        elif (commit := model.branches.get(revision, revision)) not in model.commits:
            self.say(404, {"error": f"Invalid rev id: {revision}"}, code="RevisionNotFound")
        else:
            return commit, model.commits[commit]
        return None

    def file(self, name: str, revision: str, path: str) -> None:
        if (found := self.found(name, revision)) is None:
            return
        commit, files = found
        is_known = self.headers.get("Authorization", "") == f"Bearer {self.hub.token}"
        if self.hub.models[name].gated and not is_known:
            self.say(403, {"error": f"Access to model {name} is restricted"}, code="GatedRepo")
        elif path not in files:
            self.say(404, {"error": "Entry not found"}, code="EntryNotFound")
        elif path.endswith(LARGE):
            digest = hashlib.sha256(files[path]).hexdigest()
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(files[path]))}
            # Large files lie at another host: of one that redirects to itself the last answer counts.
            place = f"{self.hub.address.replace('127.0.0.1', 'localhost')}/stored/{digest}"
            self.send(302, b"", {"X-Repo-Commit": commit, "Location": place, **linked})
        else:
            etag = f'"{git_digest(files[path])}"'
            self.send(200, files[path], {"X-Repo-Commit": commit, "ETag": etag})

    def large(self, digest: str) -> None:
        """A large file, from the byte on that is asked for; the connection may break."""
        _, content = self.hub.content(digest)
        begin = int(match[1]) if (match := re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        headers = {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self.send(206 if begin else 200, content[begin:], headers, may_break=self.command == "GET")

    def say(self, status: int, value: object, *, code: str = "", message: bool = False) -> None:
        headers = {"Content-Type": "application/json"}
        if code:
            headers["X-Error-Code"] = code
        if message or code:
            headers["X-Error-Message"] = value["error"]  # type: ignore[index]
        self.send(status, json.dumps(value).encode(), headers)

    def send(self, status: int, body: bytes, headers: Mapping[str, str], *, may_break: bool = False) -> None:
        self.send_response(status)
        # Kept connections would outlive the server in the pool of the client.
        self.close_connection = True
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if may_break and self.hub.breaks:
            body = body[: self.hub.breaks.pop(0)]
        self.wfile.write(body)


def described(path: str, content: bytes) -> dict[str, Any]:
    """A file as the listing has it."""
    entry: dict[str, Any] = {
        "type": "file", "path": path, "size": len(content), "oid": git_digest(content),
    }  # fmt: skip
    if path.endswith(LARGE):
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
    return entry


def git_digest(content: bytes) -> str:
    """The id that git gives to the content of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

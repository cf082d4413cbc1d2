"""A browser without a window that reaches nothing but this machine, driven through its developer tools.

The commands are those of the Chrome DevTools Protocol, version 1.3.
"""

import itertools
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from websockets.sync.client import ClientConnection, connect

from support.require import require_program

SECONDS = 60
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Each host but this machine is unknown: what a page wants from elsewhere is missing.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)


class Page:
    """One tab."""

    def __init__(self, tools: ClientConnection) -> None:
        self._tools = tools
        self._numbers = itertools.count(1)
        self.wanted: list[str] = []
        self._call("Network.enable")

    def open(self, url: str) -> None:
        """Goes to an address."""
        self._call("Page.navigate", url=url)

    def value(self, script: str) -> Any:
        """What an expression of JavaScript comes to."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Returns what an expression comes to, once that is true."""
        deadline = time.monotonic() + SECONDS
        while not (found := self.value(script)):
            assert time.monotonic() < deadline, f"{script} did not become true:\n{self.text()[:3000]}"
            time.sleep(0.05)
        return found

    def click(self, selector: str) -> None:
        """Clicks on the first element that the selector finds, once there is one."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.wait_for(f"!!{element}")
        self.value(f"{element}.click()")

    def text(self) -> str:
        """The text that a reader sees."""
        return str(self.value("document.body ? document.body.innerText : ''"))

    def hosts(self) -> set[str]:
        """The hosts from which the page wanted something so far."""
        self.value("1")
        return {host for url in self.wanted if (host := httpx2.URL(url).host)}

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._tools.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._tools.recv(SECONDS))
            if message.get("method") == "Network.requestWillBeSent":
                self.wanted.append(message["params"]["request"]["url"])
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Starts a browser with a new profile in `folder`, and ends it."""
    program = require_program("chromium", "chromium-browser", "google-chrome", "chrome")
    log = folder / "browser.log"
    command = [program, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        with connect(_tab(process, log), max_size=None) as tools:
            yield Page(tools)
    finally:
        process.kill()
        process.wait()


def _tab(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address of the developer tools of the only tab."""
    deadline = time.monotonic() + SECONDS
    while not (listening := re.search(r"listening on ws://([\d.:]+)/", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    with httpx2.Client(trust_env=False) as client:
        while time.monotonic() < deadline:
            tabs = client.get(f"http://{listening[1]}/json/list").json()
            if pages := [tab for tab in tabs if tab["type"] == "page"]:
                return str(pages[0]["webSocketDebuggerUrl"])
            time.sleep(0.05)
    raise AssertionError("The browser has no tab.")

"""The API pages in a real browser that reaches nothing but this machine."""

import subprocess
from pathlib import Path

import pytest
from fastapi import FastAPI

from support.http_servers import asgi_server
from support.require import require_program

APP = '''
from chutes.chute import Chute

chute = Chute(username="test", name="painter", image="python:3.11", tagline="Paints what you ask for")


@chute.cord("/paint")
async def paint(self, motif: str) -> str:
    """A picture of the motif."""
    return motif
'''


@pytest.fixture
def rendered(tmp_path: Path):
    """Opens a page, lets its scripts run, and returns the document that they made."""
    chromium = require_program("chromium", "chromium-browser", "google-chrome", "chrome")

    def render(url: str) -> str:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'browser'}",
            # Each host but this machine is unknown: what a page wants from elsewhere is missing.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ]
        done = subprocess.run([chromium, *options, url], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return render


@pytest.mark.browser
@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_an_api_page_renders_without_the_network(program, rendered, page):
    program.write(APP)
    with program.start("app.py", "--port", 0) as chute:
        document = rendered(f"{chute.url}{page}")
    assert "/paint" in document
    assert "Paints what you ask for" in document
    assert "https://cdn" not in document


@pytest.mark.browser
def test_this_browser_fetches_nothing_from_elsewhere(rendered):
    app = FastAPI()
    app.post("/paint")(lambda motif: motif)
    with asgi_server(app) as url:
        assert "/paint" not in rendered(f"{url}/docs"), "FastAPI's own page needs its scripts from elsewhere."

"""A chute-like server on a real port, and a server that follows a script."""

import pytest

from support.http_servers import ScriptedServer, asgi_server, silent_address, unused_address
from support.remote_chute import remote_chute


@pytest.fixture(scope="module")
def served():
    app = remote_chute()
    with asgi_server(app) as url:
        yield app, url


@pytest.fixture
def remote(served):
    """The application behind `url`, as good as new."""
    app, _ = served
    app.state.seen.clear()
    app.state.left.clear()
    app.state.busy = 0
    return app


@pytest.fixture
def url(served, remote):
    return served[1]


@pytest.fixture
def scripted():
    """Makes a `ScriptedServer`, and closes it after the test."""
    servers = []

    def make(*scripts):
        servers.append(ScriptedServer(scripts))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def unused_url():
    with unused_address() as address:
        yield address


@pytest.fixture
def silent_url():
    with silent_address() as address:
        yield address

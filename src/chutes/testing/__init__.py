"""Drive a chute inside a test: the same path as the server's, without a port."""

from chutes.build.fake import FakeContainerTool
from chutes.deploy.fake import FakePlatform
from chutes.engines.fake import FakeEngine
from chutes.errors import ClientNotOpen, WebSocketClosed, WebSocketRefused
from chutes.processes.fake import FakeLauncher, FakeProcess
from chutes.testing.client import AsyncTestClient, TestClient
from chutes.testing.sessions import AsyncWebSocketSession, WebSocketSession
from chutes.testing.waiting import async_wait_until, wait_until

__all__ = [
    "AsyncTestClient",
    "AsyncWebSocketSession",
    "ClientNotOpen",
    "FakeContainerTool",
    "FakeEngine",
    "FakeLauncher",
    "FakePlatform",
    "FakeProcess",
    "TestClient",
    "WebSocketClosed",
    "WebSocketRefused",
    "WebSocketSession",
    "async_wait_until",
    "wait_until",
]

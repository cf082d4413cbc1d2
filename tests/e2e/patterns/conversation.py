"""A websocket whose function closes it in any case."""

from fastapi import WebSocket
from stand_in import Echo

from chutes import Chute

chute = Chute(username="poets", name="conversation", image="python:3.11")


@chute.on_startup()
async def load(self):
    self.model = Echo()
    self.ended = []


@chute.websocket("/talk")
async def talk(self, websocket: WebSocket):
    """Answers each text until the client leaves."""
    await websocket.accept()
    try:
        while True:
            heard = await websocket.receive_text()
            await websocket.send_text(await self.model.answer(heard))
    except Exception as problem:
        self.ended.append(type(problem).__name__)
    finally:
        await websocket.close()


@chute.cord(public_api_path="/ended", method="GET")
async def ended(self) -> list[str]:
    """Why the conversations ended."""
    return self.ended

"""Words that are sent as they are made."""

import json

from fastapi.responses import StreamingResponse
from stand_in import Echo

from chutes import Chute

chute = Chute(username="poets", name="token-stream", image="python:3.11", concurrency=4)


@chute.on_startup()
async def load(self):
    self.model = Echo()


@chute.cord(public_api_path="/recite", method="POST", stream=True)
async def recite(self, text: str):
    """A response that the cord makes itself."""

    async def events():
        async for word in self.model.tokens(text):
            yield f"data: {json.dumps({'word': word})}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@chute.cord(public_api_path="/murmur", method="POST", stream=True)
async def murmur(self, text: str):
    """A generator, whose values become events."""
    async for word in self.model.tokens(text):
        yield {"word": word}

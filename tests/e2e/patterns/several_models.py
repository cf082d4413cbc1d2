"""Three models in one chute, loaded at the same time."""

import asyncio

from stand_in import Echo, Measure, Painter

from chutes import Chute

chute = Chute(username="poets", name="several-models", image="python:3.11", concurrency=2)


@chute.on_startup()
async def load(self):
    self.writer, self.painter, self.measure = Echo(), Painter(), Measure()
    await asyncio.gather(self.writer.load(), self.painter.load(), self.measure.load())


@chute.cord(public_api_path="/write")
async def write(self, text: str):
    return await self.writer.answer(text)


@chute.cord(public_api_path="/paint", output_content_type="image/png")
async def paint(self, text: str):
    return await self.painter.paint(text)


@chute.cord(public_api_path="/measure")
async def measure(self, text: str):
    return await self.measure.embed(text)


@chute.cord(public_api_path="/everything")
async def everything(self, text: str):
    """A cord that calls its neighbours."""
    return {"written": await self.write(text), "measured": await self.measure.embed(text)}


@chute.job(name="tidy-up", schedule="0 2 * * *", retry_count=5, timeout=30)
async def tidy_up(self):
    """Runs at night."""
    return {"removed": 0}

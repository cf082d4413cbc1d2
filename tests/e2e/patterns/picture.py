"""An answer that is no JSON."""

from fastapi import Response
from stand_in import Painter

from chutes import Chute

chute = Chute(username="poets", name="picture", image="python:3.11")


@chute.on_startup()
async def load(self):
    self.painter = Painter()
    await self.painter.load()


@chute.cord(public_api_path="/paint", method="POST", output_content_type="image/png")
async def paint(self, wish: str) -> Response:
    """A picture with headers of its own."""
    picture = await self.painter.paint(wish)
    return Response(
        content=picture, media_type="image/png", headers={"Content-Disposition": "inline; filename=wish.png"}
    )


@chute.cord(public_api_path="/plain", method="GET", output_content_type="image/png")
async def plain(self):
    """The bytes alone."""
    return await self.painter.paint("anything")

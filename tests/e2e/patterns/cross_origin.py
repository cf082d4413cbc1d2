"""Middleware and a route that a startup hook adds to the application."""

from fastapi.middleware.cors import CORSMiddleware

from chutes import Chute

chute = Chute(username="poets", name="cross-origin", image="python:3.11")


@chute.on_startup()
async def shape_the_application(self):
    self.app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])

    @self.app.get("/imprint")
    async def imprint():
        return {"publisher": "poets"}


@chute.cord(public_api_path="/rhyme")
async def rhyme(self, word: str) -> str:
    """Finds a word."""
    return word[::-1]

"""One handler for what no cord handles, added in a startup hook."""

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from stand_in import Echo

from chutes import Chute

chute = Chute(username="poets", name="central-errors", image="python:3.11")


@chute.on_startup()
async def handle_errors(self):
    self.model = Echo()

    @self.app.exception_handler(Exception)
    async def last_resort(request, problem):
        self.logger.error("nobody expected %s", type(problem).__name__)
        content = {"error": "It is our fault.", "request_id": getattr(request.state, "request_id", None)}
        return JSONResponse(status_code=500, content=content)


@chute.cord(public_api_path="/careful")
async def careful(self, text: str):
    try:
        if not text.strip():
            raise HTTPException(status_code=400, detail="An empty text has no answer.")
        return {"answer": await self.model.answer(text)}
    except HTTPException:
        raise
    except Exception as problem:
        raise HTTPException(status_code=502, detail="The model failed.") from problem


@chute.cord(public_api_path="/careless")
async def careless(self, text: str):
    return await self.model.answer(text)

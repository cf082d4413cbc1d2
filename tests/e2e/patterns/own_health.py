"""A health check that replaces the built-in one."""

from datetime import UTC, datetime

from stand_in import Echo

from chutes import Chute

chute = Chute(username="poets", name="own-health", image="python:3.11")


@chute.on_startup()
async def choose_health_check(self):
    self.model = Echo()
    self.subject = "all well?"

    async def check():
        moment = datetime.now(UTC).isoformat()
        try:
            await self.model.answer(self.subject, words=1)
        except Exception as problem:
            return {"status": "unhealthy", "error": type(problem).__name__, "timestamp": moment}
        return {"status": "healthy", "model_loaded": True, "timestamp": moment}

    self.health_check = check


@chute.cord(public_api_path="/break")
async def break_it(self):
    self.subject = "explode"

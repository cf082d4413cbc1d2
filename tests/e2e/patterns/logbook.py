"""Lines that the chute's own logger writes."""

from stand_in import Echo

from chutes import Chute

chute = Chute(username="poets", name="logbook", image="python:3.11", concurrency=3)


@chute.on_startup()
async def introduce(self):
    self.model = Echo()
    self.logger.info("%s of %s has %s slots", self.config.name, self.config.username, self.config.concurrency)


@chute.cord(public_api_path="/write")
async def write(self, text: str):
    self.logger.info(f"asked for {text[:20]}")
    try:
        answer = await self.model.answer(text)
    except Exception as problem:
        self.logger.error(f"it went wrong: {problem}")
        raise
    self.logger.info("answered")
    return answer

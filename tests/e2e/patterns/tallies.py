"""State that calls share, and a cord that shows it."""

from stand_in import Echo

from chutes import Chute

chute = Chute(username="poets", name="tallies", image="python:3.11", concurrency=4)


@chute.on_startup()
async def begin(self):
    self.model = Echo()
    self.known = {}
    self.found = self.missed = 0
    self.calls = self.failures = 0


@chute.cord(public_api_path="/ask")
async def ask(self, text: str):
    self.calls += 1
    try:
        if text in self.known:
            self.found += 1
            return self.known[text]
        answer = await self.model.answer(text)
        self.known[text] = answer
        self.missed += 1
        return answer
    except Exception:
        self.failures += 1
        raise


@chute.cord(public_api_path="/tallies", method="GET")
async def tallies(self):
    looked_up = self.found + self.missed
    return {
        "calls": self.calls,
        "failures": self.failures,
        "share_found": self.found / looked_up if looked_up else 0,
    }

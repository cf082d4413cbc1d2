"""Keys and a limit on the rate of calls, in plain functions of the module."""

import time

from fastapi import HTTPException, Request
from stand_in import Echo

from chutes import Chute

chute = Chute(username="poets", name="guarded", image="python:3.11", concurrency=4)


@chute.on_startup()
async def set_rules(self):
    self.model = Echo()
    self.keys = {"open-sesame"}
    self.seen = {}
    self.window = 60
    self.most = 3


async def check_key(self, request: Request):
    if request.headers.get("X-API-Key") not in self.keys:
        raise HTTPException(status_code=401, detail="No key, no answer.")


async def check_rate(self, request: Request):
    now = time.time()
    caller = request.client.host
    self.seen[caller] = [moment for moment in self.seen.get(caller, []) if moment > now - self.window]
    if len(self.seen[caller]) >= self.most:
        raise HTTPException(status_code=429, detail="Not so fast.")
    self.seen[caller].append(now)


@chute.cord(public_api_path="/ask")
async def ask(self, text: str, request: Request):
    await self.check_key(request)
    await self.check_rate(request)
    if len(text) > 100:
        raise HTTPException(400, "The text is too long.")
    return {"answer": await self.model.answer(text.strip())}

"""chutes with 50 other cords before the one that is called."""

from benchmarks.servers.payloads import CONCURRENCY, OTHER_ROUTES, Answer, Prompt, answer
from chutes.chute import Chute

chute = Chute("benchmarks", "routes", "python:3.11", concurrency=CONCURRENCY)


def add_other(number: int) -> None:
    async def other(self: Chute, data: Prompt) -> Answer:
        return answer(data.prompt)

    other.__name__ = f"other_{number}"
    chute.cord(f"/other/{number}", output_schema=Answer)(other)


for each in range(OTHER_ROUTES):
    add_other(each)


@chute.cord("/model", output_schema=Answer)
async def model(self: Chute, data: Prompt) -> Answer:
    return answer(data.prompt)

"""FastAPI with 50 other routes before the one that is called."""

from fastapi import FastAPI

from benchmarks.servers.payloads import OTHER_ROUTES, Answer, Prompt, answer

app = FastAPI()


async def other(data: Prompt) -> Answer:
    return answer(data.prompt)


for number in range(OTHER_ROUTES):
    app.post(f"/other/{number}", name=f"other_{number}")(other)


@app.post("/model")
async def model(data: Prompt) -> Answer:
    return answer(data.prompt)

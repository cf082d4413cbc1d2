"""mosec with one worker process: WORKLOAD=batch python -m benchmarks.servers.on_mosec --port PORT."""

import json
import os

from mosec import Server, SSEWorker, ValidationError, Worker
from pydantic import ValidationError as InvalidPrompt

from benchmarks.servers.payloads import MAX_BATCH, MAX_WAIT, TOKENS, Prompt, answer, run_batch


class Echo(Worker):
    def forward(self, data: dict) -> dict:
        # mosec validates nothing by itself.
        try:
            prompt = Prompt.model_validate(data)
        except InvalidPrompt as error:
            raise ValidationError(str(error)) from error
        return answer(prompt.prompt).model_dump()


class Batched(Worker):
    def forward(self, data: list[dict]) -> list[dict]:
        return [{"y": y} for y in run_batch([one["x"] for one in data])]


class Read(Worker):
    def forward(self, data: dict) -> dict:
        return data


class Stream(SSEWorker):
    def forward(self, data: dict) -> dict:
        for token in TOKENS:
            self.send_stream_event(json.dumps({"token": token}))
        return data


if __name__ == "__main__":
    server = Server()
    workload = os.environ["WORKLOAD"]
    if workload == "batch":
        server.append_worker(Batched, max_batch_size=MAX_BATCH, max_wait_time=int(MAX_WAIT * 1000))
    elif workload == "stream":
        server.append_worker(Read)
        server.append_worker(Stream)
    else:
        server.append_worker(Echo)
    server.run()

"""Ray Serve with one replica, its slots and its own bounded queue: python -m benchmarks.servers.stress_on_ray WORKLOAD PORT."""

import sys
import time

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import StreamingResponse

from benchmarks.servers.stress import QUEUE, SLOTS, Progress, work


@serve.deployment(
    num_replicas=1, max_ongoing_requests=SLOTS, max_queued_requests=QUEUE, ray_actor_options={"num_cpus": 0}
)
class Stressed:
    def __init__(self, workload: str) -> None:
        self.answer = getattr(self, workload)

    async def __call__(self, request: Request) -> object:
        return await self.answer()

    async def work(self) -> dict:
        return await work()

    async def call(self) -> dict:
        return await Progress().run()

    async def stream(self) -> StreamingResponse:
        return StreamingResponse(Progress().stream(), media_type="text/event-stream")


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[2])},
        logging_config={"enable_access_log": False},
    )
    serve.run(Stressed.bind(sys.argv[1]), name="benchmark", route_prefix="/")
    while True:
        time.sleep(60)

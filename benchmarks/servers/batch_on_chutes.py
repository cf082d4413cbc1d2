"""chutes with one model that takes batches: one slot, as the model works on one batch at a time."""

from benchmarks.servers.payloads import MAX_BATCH, MAX_WAIT, Number, run_batch
from chutes import Batch
from chutes.chute import Chute

chute = Chute("benchmarks", "batch", "python:3.11", concurrency=1)


@chute.cord("/batch", batch=Batch(max_size=MAX_BATCH, max_wait=MAX_WAIT))
def batch(self: Chute, items: list[Number]) -> list[dict]:
    return [{"y": y} for y in run_batch([item.x for item in items])]

"""mosec with a process for each slot and its own bounded queue: WORKLOAD=work python -m ... --capacity CALLS."""

import os

from mosec import Server, SSEWorker, Worker

from benchmarks.servers.stress import SLOTS, Progress, work_in_thread


class Work(Worker):
    def forward(self, data: dict) -> dict:
        return work_in_thread()


class Call(Worker):
    def forward(self, data: dict) -> dict:
        return Progress().run_in_thread()


class Read(Worker):
    def forward(self, data: dict) -> dict:
        return data


class Stream(SSEWorker):
    def forward(self, data: dict) -> dict:
        for event in Progress().stream_in_thread():
            self.send_stream_event(event)
        return data


if __name__ == "__main__":
    server = Server()
    workload = os.environ["WORKLOAD"]
    if workload == "work":
        server.append_worker(Work, num=SLOTS)
    elif workload == "call":
        server.append_worker(Call)
    else:
        server.append_worker(Read)
        server.append_worker(Stream)
    server.run()

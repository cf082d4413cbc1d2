"""Jobs that take a moment, and tell the disk that they began."""

import asyncio
import os
import signal
import time
from pathlib import Path

from chutes import Chute

chute = Chute(username="me", name="durable", image="python:3.11", max_jobs=3, shutdown_grace=0.5)


@chute.job(retry_count=3)
async def work(self, folder: str, number: int, seconds: float = 0.2):
    with (Path(folder) / f"{number}.begun").open("a") as file:
        file.write(f"{self.jobs.current.attempt}\n")
    await asyncio.sleep(seconds)
    return number


@chute.job(retry_count=2)
async def deadly(self, folder: str):
    with (Path(folder) / "deadly.begun").open("a") as file:
        file.write(f"{self.jobs.current.attempt}\n")
    os.kill(os.getpid(), signal.SIGKILL)


@chute.job(retry_count=0)
def hang(self, folder: str):
    (Path(folder) / "hang.begun").touch()
    time.sleep(3600)

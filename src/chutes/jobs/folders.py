"""The folder that a job's function gets for its files, as `output_dir`."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator

__all__ = ["OUTPUT_DIR", "output_folder"]

OUTPUT_DIR = "output_dir"
"""The parameter that gets it; a function with `**` parameters gets it among them."""


@contextlib.asynccontextmanager
async def output_folder(job: str) -> AsyncIterator[str]:
    """An empty folder for one attempt, removed with all that is in it when the function has ended."""
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix=f"chutes-{job}-")
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

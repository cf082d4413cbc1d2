"""The program whose instructions are counted: one child process for each form, framework and number of requests.

The modules are imported once, and each child is a fork: so a difference of two children's counts is that of their
requests alone. It prints one JSON object a child.
"""

import asyncio
import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from functools import partial

from benchmarks.forms import FORMS, Form
from benchmarks.in_process import Application, request, running

__all__ = ["APPLICATIONS"]

APPLICATIONS = {
    "raw ASGI": ("benchmarks.servers.raw_asgi", "app"),
    "FastAPI": ("benchmarks.servers.on_fastapi", "app"),
    "chutes": ("benchmarks.servers.on_chutes", "chute"),
}
# The first requests fill caches: the interpreter specialises its bytecode, and each application has its own.
# The many outweigh that the start of a process differs by some 100,000 instructions.
_COUNTS = (100, 600)
_COUNTS_OF_STREAMS = (2, 6)


def main(arguments: Sequence[str]) -> None:
    """Run the forms that are named, all of them without a name."""
    forms = [FORMS[name] for name in arguments] or list(FORMS.values())
    applications = {name: _load(*place) for name, place in APPLICATIONS.items()}
    gc.collect()
    gc.freeze()
    gc.disable()
    for form in forms:
        for name, app in applications.items():
            for count in _COUNTS if form.chunks == 1 else _COUNTS_OF_STREAMS:
                pid = _answer_in_child(app, form, count)
                print(json.dumps({"pid": pid, "form": form.name, "app": name, "count": count}), flush=True)


def _load(module: str, attribute: str) -> Application:
    return getattr(importlib.import_module(module), attribute)


def _answer_in_child(app: Application, form: Form, count: int) -> int:
    """Let a child process answer `count` requests; its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            # Under valgrind a clock runs some fifty times too fast, and what looks at it now and then looks too often.
            time.perf_counter = partial(float, 1.0)
            asyncio.run(_answer(app, form, count))
        except BaseException:  # noqa: BLE001 - a child must not go on with the work of its parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"The child that answers {form.target} failed with status {status}.")
    return pid


async def _answer(app: Application, form: Form, count: int) -> None:
    async with running(app):
        for _ in range(count):
            await request(app, form)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Serve from a child process, and start it anew when a source file was saved: the port stays open."""

import asyncio
import logging
import math
import signal
import socket
import sys
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chutes.errors import ServeError
from chutes.processes import Command, Launcher, LocalLauncher, Process, describe_exit
from chutes.serve.holding import Holding, held_json
from chutes.serve.listener import LISTEN_FD, bind
from chutes.serve.sources import name_of, saved_files, syntax_problem

__all__ = ["serve_with_reload", "this_program"]

logger = logging.getLogger("chutes.reload")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve_with_reload(
    argv: Sequence[str],
    *,
    watch: Iterable[Path],
    host: str,
    port: int,
    grace: float = 5.0,
    launcher: Launcher | None = None,
) -> int:
    """Serve with the program `argv`, start it again on changes, and return the exit code, 0.

    The program finds the number of its listening socket in `CHUTES_LISTEN_FD`. This needs the main thread:
    SIGINT, SIGTERM or SIGHUP lets the program drain and ends; a second one kills the program.

    Args:
        argv: the program that serves, for example `this_program()`.
        watch: folders whose Python files are watched, with the folders in them.
        host: the address to bind.
        port: the port to bind; 0 takes a free one.
        grace: seconds that the program has for its last requests before the next one starts.
        launcher: what starts the program; a fake one in tests.

    Raises:
        ServeError: the address cannot be bound, or a folder cannot be watched.
        ProcessError: the program cannot be started at all.
    """
    folders = tuple(Path(folder).resolve() for folder in watch)
    for folder in folders:
        if not folder.is_dir():
            raise ServeError(f"Cannot watch {folder}: no such folder. Name one that exists.")
    with bind(host, port) as listener:
        command = Command(
            argv=argv,
            name="The chute",
            env={LISTEN_FD: str(listener.fileno())},
            inherited_fds=(listener.fileno(),),
            inherit_output=True,
            # Its worker processes are needed to drain: it stops them itself.
            signal_group=False,
            grace=grace,
        )
        return asyncio.run(_Reloader(command, listener, folders, launcher or LocalLauncher()).run())


def this_program() -> tuple[str, ...]:
    """The command line that starts this program again, interpreter flags and arguments included.

    Raises:
        ServeError: it was typed into an interpreter or a notebook.
    """
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    arguments = sys.orig_argv[1:]
    if file in {None, "<stdin>"} and "-c" not in arguments:
        raise ServeError("Cannot reload a program that is in no file. Save it as one, or pass reload=False.")
    if file is not None and main.__spec__ is None and sys.argv[0] in arguments:
        # The working directory may have changed since the path was typed.
        arguments[arguments.index(sys.argv[0])] = str(Path(file).absolute())
    return (sys.executable, *arguments)


@dataclass(frozen=True, slots=True)
class _Saved:
    paths: frozenset[Path]


@dataclass(frozen=True, slots=True)
class _Ended:
    process: Process
    code: int


@dataclass(frozen=True, slots=True)
class _Leave:
    error: ServeError | None = None


class _Reloader:
    """One program after the other on one socket; what happens is handled one event after the other."""

    def __init__(
        self, command: Command, listener: socket.socket, folders: tuple[Path, ...], launcher: Launcher
    ) -> None:
        self._command = command
        self._listener = listener
        self._folders = folders
        self._launcher = launcher
        self._events: asyncio.Queue[_Saved | _Ended | _Leave] = asyncio.Queue()
        self._process: Process | None = None
        self._holding: Holding | None = None
        self._leaving = False
        self._unsound: frozenset[Path] = frozenset()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        for number in _SIGNALS:
            # `nohup` has the terminal's SIGHUP ignored: it stays so.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        self._begin(self._watch())
        # Its first step begins to watch: what is saved once the program has read the files does not go unseen.
        await asyncio.sleep(0)
        try:
            await self._start()
            while not isinstance(event := await self._events.get(), _Leave):
                await self._handle(event)
            if event.error is not None:
                raise event.error
        finally:
            await self._leave()
        return 0

    async def _handle(self, event: _Saved | _Ended) -> None:
        match event:
            case _Saved(paths):
                await self._on_saved(paths)
            case _Ended(process, code) if process is self._process:
                self._on_end(code)

    def _on_signal(self) -> None:
        if self._leaving and self._process is not None:
            self._begin(_kill(self._process))
        self._leaving = True
        self._events.put_nowait(_Leave())

    async def _on_saved(self, paths: frozenset[Path]) -> None:
        problems = {path: text for path in self._unsound | paths if (text := syntax_problem(path))}
        self._unsound = frozenset(problems)
        for path, text in sorted(problems.items()):
            logger.error("%s, %s. Not reloaded: fix it and save it.", name_of(path, self._folders), text)
        if problems:
            return
        names = sorted(name_of(path, self._folders) for path in paths)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        logger.info("%s%s changed: reloading", names[0], more)
        if self._process is not None:
            await self._process.stop()
            self._process = None
        if not self._leaving:
            await self._start()

    def _on_end(self, code: int) -> None:
        how = describe_exit(code)
        logger.error("The chute ended with %s. Fix the file and save it: watching %s.", how, self._watched())
        content = {"detail": f"The chute does not run: it ended with {how}. Its terminal says why."}
        answer = held_json(503, content, ("Retry-After", "1"))
        self._process = None
        self._holding = Holding(self._listener, lambda _method, _path: answer)
        self._holding.start()

    async def _start(self) -> None:
        await self._release()
        self._process = await self._launcher.launch(self._command)
        self._begin(self._report_end(self._process))

    async def _release(self) -> None:
        holding, self._holding = self._holding, None
        if holding is not None:
            await asyncio.to_thread(holding.stop)

    async def _leave(self) -> None:
        self._leaving = True
        if self._process is not None:
            # The program bounds its own drain, and a second signal ends the wait.
            await self._process.stop(grace=math.inf)
        await self._release()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self) -> None:
        try:
            async for paths in saved_files(self._folders):
                self._events.put_nowait(_Saved(paths))
        except ServeError as exc:
            self._events.put_nowait(_Leave(exc))

    async def _report_end(self, process: Process) -> None:
        self._events.put_nowait(_Ended(process, await process.wait()))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _watched(self) -> str:
        return ", ".join(map(str, self._folders))


async def _kill(process: Process) -> None:
    await process.stop(grace=0)

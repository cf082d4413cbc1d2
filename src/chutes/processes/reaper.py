"""Run one program and outlive it: no process of its tree stays when it ends, or when our parent dies.

Started by path in an interpreter of its own, so that it is small, has a single thread and starts in
milliseconds; it therefore imports nothing of this package and only cheap modules.

    reaper.py PARENT CHANNEL SCOPE FDS PROGRAM [ARGUMENT...]

`CHANNEL` is one end of a socket pair whose other end only the process `PARENT` has. On it come the signals
to pass on, a byte each (`SIGKILL` ends the whole tree); on it go the lines `started PID`, `failed ERRNO` and
`exited CODE`, with -N for a program that signal N ended. `SCOPE` is `group` or `child`: who gets a signal.
`FDS` lists the descriptors that the program inherits, with commas between.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable

_LINUX = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Whoever inherited the parent's end of the channel by a fork keeps it open: the parent's id tells then.
_PARENT_CHECK_MS = 500
# Only a process in an uninterruptible call, or of another user, outlives SIGKILL for so long.
_KILL_SECONDS = 10.0


def main() -> None:
    """Read the command line, run the program, end with status 0: the channel has told the program's."""
    parent, channel, scope, fds, *argv = sys.argv[1:]
    inherited = [int(fd) for fd in fds.split(",") if fd]
    Reaper(int(parent), int(channel), whole_group=scope == "group").run(argv, inherited)


class Reaper:
    """The one program, its descendants, and the parent on whose life they depend."""

    def __init__(self, parent: int, channel: int, *, whole_group: bool) -> None:
        self._parent = parent
        self._channel = channel
        self._whole_group = whole_group
        self._prctl = _load_prctl()
        self._prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._signals = _signal_pipe()
        self._child = 0
        self._exit_code: int | None = None

    def run(self, argv: list[str], inherited: list[int]) -> None:
        """Start `argv` and return when nothing of it is left."""
        os.set_inheritable(self._channel, False)
        try:
            self._child = self._spawn(argv)
        except OSError as exc:
            self._tell(f"failed {exc.errno}")
            return
        _let_go(inherited)
        self._tell(f"started {self._child}")
        self._watch()
        self._kill_tree()
        self._tell(f"exited {-signal.SIGKILL if self._exit_code is None else self._exit_code}")

    def _spawn(self, argv: list[str]) -> int:
        reading, writing = os.pipe()
        reaper = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                self._become(argv, reaper)
            except OSError as exc:
                os.write(writing, str(exc.errno).encode())
            finally:
                os._exit(127)
        os.close(writing)
        failure = os.read(reading, 16)
        os.close(reading)
        if failure:
            os.waitpid(pid, 0)
            raise OSError(int(failure), os.strerror(int(failure)))
        return pid

    def _become(self, argv: list[str], reaper: int) -> None:
        # A session of its own: Ctrl-C in a terminal reaches the parent alone, which then decides.
        os.setsid()
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != reaper:
            os._exit(127)
        for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored_by_python, signal.SIG_DFL)
        os.execvp(argv[0], argv)  # noqa: S606 - the caller's own words, no shell between

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._signals, select.POLLIN)
        while self._exit_code is None and os.getppid() == self._parent:
            for fd, _ in poll.poll(_PARENT_CHECK_MS):
                numbers = _read(fd)
                if not numbers:
                    return
                for number in numbers:
                    self._pass_on(number)
            self._collect()

    def _pass_on(self, number: int) -> None:
        if number == signal.SIGKILL:
            self._kill_tree()
        elif number != signal.SIGCHLD and self._exit_code is None:
            send = os.killpg if self._whole_group else os.kill
            _signal(send, self._child, number)

    def _collect(self) -> bool:
        """Take the status of every child that ended; False when none is left, alive or dead."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._child:
                self._exit_code = os.waitstatus_to_exitcode(status)

    def _kill_tree(self) -> None:
        if not _LINUX:
            _signal(os.killpg, self._child, signal.SIGKILL)
        deadline = time.monotonic() + _KILL_SECONDS
        pause = 0.001
        # On Linux orphans come to us, the subreaper: no child left means no descendant left. On macOS the
        # group and the tree of this moment are all that can be found.
        while self._collect() and time.monotonic() < deadline:
            for pid in _descendants(os.getpid()):
                _signal(os.kill, pid, signal.SIGKILL)
            time.sleep(pause)
            pause = min(pause * 2, 0.1)

    def _tell(self, line: str) -> None:
        try:
            os.write(self._channel, f"{line}\n".encode())
        except OSError:
            return  # the parent is gone: nobody asks any more


def _load_prctl() -> Callable[[int, int], object]:
    if not _LINUX:
        return lambda _option, _value: None
    import ctypes

    return lambda option, value: ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 512)
    except ConnectionResetError:
        return b""  # the parent died before it read all that we told it


def _signal_pipe() -> int:
    """A descriptor from which each signal that arrives can be read as a byte."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (*_PASSED_ON, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return reading


def _let_go(inherited: list[int]) -> None:
    """Keep nothing open that the program should be the last to hold: its output, its sockets."""
    for fd in inherited:
        os.close(fd)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)


def _signal(send: Callable[[int, int], None], target: int, number: int) -> None:
    try:
        send(target, number)
    except (ProcessLookupError, PermissionError):
        return  # ended already, or another user's now


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in _process_table():
        children.setdefault(parent, []).append(pid)
    found = list(children.get(root, ()))
    for pid in found:
        found += children.get(pid, ())
    return found


def _process_table() -> list[tuple[int, int]]:
    """Every process of the machine with its parent."""
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - pathlib loads slowly
    except FileNotFoundError:
        return _process_table_of_ps()
    return [(int(name), parent) for name in names if (parent := _parent_of(name)) is not None]


def _parent_of(pid: str) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - pathlib loads slowly
            # The name of the program, in parentheses, may hold spaces and parentheses of its own.
            return int(stat.read().rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _process_table_of_ps() -> list[tuple[int, int]]:
    import subprocess

    listing = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=False, text=True
    )
    return [(int(pid), int(parent)) for pid, parent in map(str.split, listing.stdout.splitlines())]


if __name__ == "__main__":
    main()

"""Which frames of a traceback are the user's own, and how a traceback of only those reads."""

import sysconfig
import traceback
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path
from types import FrameType

__all__ = [
    "format_user_stack",
    "format_user_traceback",
    "is_user_file",
    "place_of",
    "readable",
    "user_frames",
]

_PACKAGE = Path(__file__).parent
_INNERMOST = 6
_LIBRARY_FOLDERS = frozenset({"site-packages", "dist-packages"})


def is_user_file(filename: str) -> bool:
    """Whether code in `filename` is neither ours, nor an installed library's, nor Python's own."""
    if filename.startswith("<"):
        return False
    path = Path(filename)
    if _LIBRARY_FOLDERS.intersection(path.parts) or path.is_relative_to(_PACKAGE):
        return False
    pythons = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "scripts"))
    return not any(path.is_relative_to(folder) for folder in pythons)


def readable(path: Path | str) -> str:
    """`path` as a person in the working folder would write it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def place_of(filename: str, line: int | None) -> str:
    """`app.py, line 3`."""
    return f"{readable(filename)}, line {line}" if line else readable(filename)


def user_frames(exc: BaseException) -> list[traceback.FrameSummary]:
    """The frames of `exc` that lie in the user's files, outermost first."""
    return [frame for frame in traceback.extract_tb(exc.__traceback__) if is_user_file(frame.filename)]


def format_user_traceback(exc: BaseException) -> str:
    """The traceback of `exc` and of the exceptions behind it, as Python prints it, the user's frames only.

    When no frame is the user's, all are kept: an error without a place helps nobody.
    """
    whole = traceback.TracebackException.from_exception(exc)
    chain = list(_chain(whole))
    if any(is_user_file(frame.filename) for link in chain for frame in link.stack):
        for link in chain:
            kept = [frame for frame in link.stack if is_user_file(frame.filename)]
            link.stack = traceback.StackSummary.from_list(kept)
    return "".join(whole.format())


def format_user_stack(frame: FrameType) -> str:
    """What is running in `frame`, as Python prints a stack: the user's frames that we called, innermost last.

    When no such frame is the user's, the innermost ones are kept.
    """
    stack = traceback.StackSummary.extract(reversed(list(traceback.walk_stack(frame))))
    # A program that calls `run_local` stands beneath everything that runs, and blocks nothing.
    called = dropwhile(lambda one: not Path(one.filename).is_relative_to(_PACKAGE), stack)
    kept = [one for one in called if is_user_file(one.filename)] or stack[-_INNERMOST:]
    return "".join(traceback.StackSummary.from_list(kept).format()).rstrip("\n")


def _chain(link: traceback.TracebackException | None) -> Iterator[traceback.TracebackException]:
    """`link`, and every exception behind or inside it."""
    if link is None:
        return
    yield link
    yield from _chain(link.__cause__)
    yield from _chain(link.__context__)
    for inner in link.exceptions or ():
        yield from _chain(inner)

"""The served chutes that the tests of this folder share."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from support.chute_process import RUN, ChuteProcess, chute_process

HERE = Path(__file__).parent
Serve = Callable[..., AbstractContextManager[ChuteProcess]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serves a file of this folder with `chutes run`, on a free port; further words are options of the command."""
    return server_in(tmp_path)


@pytest.fixture(scope="module")
def module_serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Likewise, for a server that the tests of one file share."""
    return server_in(tmp_path_factory.mktemp("served"))


@pytest.fixture
def program(tmp_path: Path) -> "Program":
    """A program that the test writes."""
    return Program(tmp_path)


class Program:
    """Source files in a folder of their own, and the processes that run them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, text: str, name: str = "app.py") -> Path:
        """Saves a file."""
        path = self.folder / name
        path.write_text(text)
        return path

    def start(
        self, *words: object, program: tuple[str, ...] = RUN, **environ: str
    ) -> AbstractContextManager[ChuteProcess]:
        """Runs it, by default with `chutes run`; the process may not be ready yet."""
        return chute_process(
            *words, folder=self.folder, log=self.folder / "output.log", program=program, **environ
        )


def server_in(folder: Path) -> Serve:
    numbers = itertools.count(1)

    @contextmanager
    def serve(name: str, *words: object, **environ: str) -> Iterator[ChuteProcess]:
        # Each process has a log of its own: a later one starts elsewhere.
        reference, log = HERE / name, folder / f"output-{next(numbers)}.log"
        with chute_process(reference, "--port", 0, *words, folder=folder, log=log, **environ) as chute:
            assert chute.url
            yield chute

    return serve

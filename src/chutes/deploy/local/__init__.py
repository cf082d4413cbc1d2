"""Chutes on this machine: containers of podman or docker behind a port that never goes away."""

from chutes.deploy.local.machine import LocalPlatform
from chutes.deploy.local.runner import find_runner
from chutes.deploy.local.unit import systemd_unit

__all__ = ["LocalPlatform", "find_runner", "systemd_unit"]

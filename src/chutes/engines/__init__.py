"""Model servers that speak the OpenAI API: what each needs, which one to take, and one runner for all."""

from chutes.engines.engine import Engine, Launch
from chutes.engines.hardware import FakeHardware, Gpu, Hardware, HardwareProbe, MachineProbe
from chutes.engines.installed import Installed, look_into
from chutes.engines.known import KNOWN
from chutes.engines.pick import Pick, pick, usable_forms
from chutes.engines.preparation import Preparation, Prepared
from chutes.engines.runner import EngineRunner, EngineStatus, HealthPolicy

__all__ = [
    "KNOWN",
    "Engine",
    "EngineRunner",
    "EngineStatus",
    "FakeHardware",
    "Gpu",
    "Hardware",
    "HardwareProbe",
    "HealthPolicy",
    "Installed",
    "Launch",
    "MachineProbe",
    "Pick",
    "Preparation",
    "Prepared",
    "look_into",
    "pick",
    "usable_forms",
]

"""Child processes: start them, read their lines, know when they are ready, and leave none behind."""

from chutes.processes.command import Command
from chutes.processes.local import LocalLauncher, LocalProcess
from chutes.processes.process import Launcher, OnLine, Process, describe_exit
from chutes.processes.ready import HttpAnswers, LineMatches, PortOpen, ReadyCheck
from chutes.processes.supervisor import RestartPolicy, State, Status, Supervisor

__all__ = [
    "Command",
    "HttpAnswers",
    "Launcher",
    "LineMatches",
    "LocalLauncher",
    "LocalProcess",
    "OnLine",
    "PortOpen",
    "Process",
    "ReadyCheck",
    "RestartPolicy",
    "State",
    "Status",
    "Supervisor",
    "describe_exit",
]

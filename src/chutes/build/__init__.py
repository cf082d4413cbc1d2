"""From a chute to a container image: the context, the Dockerfile, and the tool that builds it."""

from chutes.build.build import Built, Options, build, references
from chutes.build.containerfile import Recipe, containerfile
from chutes.build.context import Context, make_context
from chutes.build.tool import BuildOrder, CommandLineTool, ContainerTool, find_tool

__all__ = [
    "BuildOrder",
    "Built",
    "CommandLineTool",
    "ContainerTool",
    "Context",
    "Options",
    "Recipe",
    "build",
    "containerfile",
    "find_tool",
    "make_context",
    "references",
]

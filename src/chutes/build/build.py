"""Build the image of a chute, unless it is there already."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chutes.build.context import Context
from chutes.build.tool import BuildOrder, ContainerTool

__all__ = ["Built", "Options", "build", "references"]

_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to build.

    Attributes:
        reference: what to call the image in place of its own name.
        registry: host and path of a registry that go before the name, such as `registry.example.com/team`.
        platform: such as `linux/arm64`; None: this machine's.
        secrets: files that a step may mount while it runs, as `id=NAME,src=FILE`.
        use_cache: take steps that were built before.
        force: build even if an image of the same files is there.
        arguments: more options for the tool's build, as it knows them.
    """

    reference: str | None = None
    registry: str | None = None
    platform: str | None = None
    secrets: Sequence[str] = ()
    use_cache: bool = True
    force: bool = False
    arguments: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What came out.

    Attributes:
        references: what the image is called; the last one names its content and never moves.
        is_new: it was built now; otherwise it was there.
    """

    references: tuple[str, ...]
    is_new: bool


def references(context: Context, options: Options) -> tuple[str, ...]:
    """The names of the image: its own, and one with the first digits of its digest as the tag."""
    name = options.reference or context.reference
    if options.registry:
        name = f"{options.registry.rstrip('/')}/{name}"
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, name = name, f"{name}:latest"
    return name, f"{repository}:{_suffix(context, options)}"


def build(context: Context, tool: ContainerTool, options: Options) -> Built:
    """Build the image of a context, unless the tool has one of the same digest and name.

    Raises:
        BuildError: the context cannot be written, or the tool failed.
    """
    names = references(context, options)
    if not options.force and all(tool.digest_of(name) == context.digest for name in names):
        return Built(references=names, is_new=False)
    with tempfile.TemporaryDirectory(prefix="chutes-build-") as scratch:
        folder = Path(scratch, "context")
        context.write(folder)
        tool.build(
            BuildOrder(
                context=folder,
                references=names,
                digest=context.digest,
                platform=options.platform,
                secrets=options.secrets,
                use_cache=options.use_cache,
                arguments=options.arguments,
            )
        )
    return Built(references=names, is_new=True)


def _suffix(context: Context, options: Options) -> str:
    """Images for other platforms are other images, with the same files."""
    digits = context.digest[:_DIGITS]
    return f"{digits}-{options.platform.replace('/', '-')}" if options.platform else digits

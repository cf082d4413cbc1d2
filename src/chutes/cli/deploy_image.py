"""Which image `chutes deploy` runs: one that is named, one that is built here, or the chute's files alone."""

from dataclasses import dataclass

from chutes.build import Context, Options, build, find_tool, make_context, references
from chutes.cli.platform_options import say
from chutes.cli.reporting import refuse
from chutes.loading import LoadedChute

__all__ = ["WantedImage", "make_image", "wanted_image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedImage:
    """What is to run.

    Attributes:
        reference: the name of the image, empty for the files alone.
        digest: names its content; empty for an image that was made elsewhere.
        context: the chute's files, None for an image that was made elsewhere.
        options: how to build it, None when there is nothing to build.
    """

    reference: str
    digest: str = ""
    context: Context | None = None
    options: Options | None = None


def wanted_image(loaded: LoadedChute, where: str, *, image: str | None, registry: str | None) -> WantedImage:
    """Tell what is to run. Nothing is built.

    Raises:
        BuildError: a file that the chute's recipe names is missing.
    """
    if image is not None:
        return WantedImage(reference=image)
    if where == "kubernetes" and registry is None:
        refuse(
            "A cluster fetches images from a registry, and none is named. Write --registry HOST/PATH, for example "
            "--registry registry.example.com/team, or set CHUTES_REGISTRY; or --image NAME for an image that is there already."
        )
    context = make_context(loaded)
    if where == "ray" and registry is None:
        return WantedImage(reference="", digest=context.digest, context=context)
    # On this machine the image is taken from where it was built.
    options = Options(registry=None if where == "local" else registry)
    name = references(context, options)[-1]
    return WantedImage(reference=name, digest=context.digest, context=context, options=options)


def make_image(wanted: WantedImage, tool: str | None) -> None:
    """Build the image if that is called for and it is not there; send it to the registry that its name has.

    Raises:
        BuildError: there is no container tool, or it failed.
    """
    if wanted.context is None or wanted.options is None:
        return
    builder = find_tool(tool, lambda command: say(f"$ {command}"))
    built = build(wanted.context, builder, wanted.options)
    if not built.is_new:
        say(f"The image is there: {wanted.reference}.")
    if wanted.options.registry:
        for name in built.references:
            builder.push(name)

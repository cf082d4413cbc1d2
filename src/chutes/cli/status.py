"""`chutes status`: how a deployed chute is."""

from chutes.cli.deploy_text import print_deployment
from chutes.cli.platform_options import Address, AsJson, KubeContext, Name, Namespace, To, Tool, platform_at
from chutes.deploy.service import find_deployment

__all__ = ["status"]


def status(
    name: Name,
    *,
    to: To = None,
    json_output: AsJson = False,
    tool: Tool = None,
    namespace: Namespace = None,
    context: KubeContext = None,
    address: Address = None,
) -> None:
    """Show the instances and the revisions of a deployed chute."""
    platform = platform_at(to, tool=tool, namespace=namespace, context=context, address=address)
    print_deployment(find_deployment(platform, name), as_json=json_output)

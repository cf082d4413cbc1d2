"""`chutes list`: which chutes run on a platform."""

from chutes.cli.deploy_text import print_deployments
from chutes.cli.platform_options import (
    Address,
    AsJson,
    KubeContext,
    Namespace,
    To,
    Tool,
    platform_at,
    where_to,
)
from chutes.settings import Settings

__all__ = ["list"]


def list(  # noqa: A001 - the command's name
    *,
    to: To = None,
    json_output: AsJson = False,
    tool: Tool = None,
    namespace: Namespace = None,
    context: KubeContext = None,
    address: Address = None,
) -> None:
    """List the chutes that run on a platform."""
    platform = platform_at(to, tool=tool, namespace=namespace, context=context, address=address)
    where = where_to(to, Settings.from_env())
    print_deployments(platform.deployments(), as_json=json_output, where=where)

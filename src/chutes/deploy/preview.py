"""What a platform would get for a plan, as text; nothing is asked and nothing is sent."""

import json
import shlex
from pathlib import Path

from chutes.deploy.find import PlatformOptions, manifest_changes
from chutes.deploy.plan import PORT, Plan
from chutes.settings import Settings

__all__ = ["preview"]


def preview(plan: Plan, where: str, settings: Settings, options: PlatformOptions) -> str:
    """The command of an instance, the manifests, or the config of Serve; no value of a secret is in them."""
    if where == "kubernetes":
        return _manifests(plan, options)
    if where == "ray":
        return _serve_config(plan, options)
    tool = options.tool or settings.container_tool or "podman"
    return _command(plan, Path(tool).name, settings.home, options.port or PORT)


def _command(plan: Plan, tool: str, home: Path, port: int) -> str:
    from chutes.deploy.local.commands import Order, instance_words, names_of
    from chutes.deploy.local.state import InstanceState

    secrets = {secret.name: secret.name for secret in plan.secrets}
    order = Order(tool=tool, plan=plan, home=home, network="own", secrets=secrets)
    instance = InstanceState(name=names_of(plan.slug, 1, 1)[0], port=port, revision=1)
    return shlex.join([tool, *instance_words(order, instance)])


def _manifests(plan: Plan, options: PlatformOptions) -> str:
    from chutes.deploy.kubernetes import ManifestOptions, manifests, yaml_text

    return yaml_text(
        manifests(plan, ManifestOptions().changed(manifest_changes(options) | _namespace(options)))
    )


def _namespace(options: PlatformOptions) -> dict[str, str]:
    return {"namespace": options.namespace} if options.namespace else {}


def _serve_config(plan: Plan, options: PlatformOptions) -> str:
    from chutes.deploy.ray.config import Code, serve_config
    from chutes.deploy.ray.packages import code_of

    code = Code() if options.files is None or plan.image else code_of(options.files)
    return json.dumps(serve_config(plan, code), indent=2, ensure_ascii=False)

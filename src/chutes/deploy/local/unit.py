"""A chute as a service of systemd, for a machine without a container tool."""

from pathlib import Path

from chutes.deploy.plan import Plan

__all__ = ["systemd_unit"]

_SPECIAL = str.maketrans({"\\": "\\\\", '"': '\\"', "%": "%%", "\n": "\\n"})


def systemd_unit(plan: Plan, *, python: str, home: Path, host: str = "127.0.0.1", port: int = 8000) -> str:
    """The text of a unit that runs the chute from its file; secrets are read from a file that only root can open.

    Args:
        plan: what is to run.
        python: the interpreter in whose environment the framework is.
        home: the folder that keeps jobs.
        host: the address to bind.
        port: the port to listen on.
    """
    source, _, name = plan.source, *plan.target.partition(":")[1:]
    reference = f"{source}:{name}" if name else source
    command = [python, "-m", "chutes", "run", reference, "--host", host, "--port", str(port)]
    variables = {**plan.environment, "CHUTES_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    limits = []
    if plan.resources.cpu is not None:
        limits.append(f"CPUQuota={plan.resources.cpu * 100:g}%")
    if plan.resources.memory_gb is not None:
        limits.append(f"MemoryMax={int(plan.resources.memory_gb * 1e9)}")
    secrets = []
    if plan.secrets:
        names = ", ".join(secret.name for secret in plan.secrets)
        secrets = [
            f"# Lines NAME=VALUE of {names}, in a file of mode 0600.",
            f"EnvironmentFile=/etc/chutes/{plan.username}.{plan.name}.env",
        ]
    lines = [
        "[Unit]",
        f"Description=The chute {plan.slug}",
        "Wants=network-online.target",
        "After=network-online.target",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "ExecStart=" + " ".join(_quoted(word, "$") for word in command),
        f"WorkingDirectory={str(Path(source).parent).translate(_SPECIAL)}",
        *(f"Environment={_quoted(f'{key}={value}')}" for key, value in sorted(variables.items())),
        *secrets,
        *limits,
        "Restart=always",
        "RestartSec=2",
        "KillMode=mixed",
        f"TimeoutStopSec={plan.termination_seconds:g}",
        "NoNewPrivileges=yes",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _quoted(word: str, doubled: str = "") -> str:
    """A word as systemd reads it: '%' begins a specifier everywhere, '$' a variable in commands."""
    text = word.translate(_SPECIAL)
    for sign in doubled:
        text = text.replace(sign, sign * 2)
    return f'"{text}"'

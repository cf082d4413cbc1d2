"""The environment variables `CHUTES_*`, as one frozen value; nothing else reads the environment."""

import base64
import binascii
import difflib
import ipaddress
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

from chutes.errors import SettingsError
from chutes.suggestions import did_you_mean

__all__ = [
    "LOG_LEVELS",
    "VARIABLES",
    "LogFormat",
    "OtelSettings",
    "Settings",
    "WebhookSettings",
    "check_log_level",
    "variable",
]

LogFormat = Literal["auto", "human", "json"]
Tracing = Literal["off", "offered", "asked"]

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

VARIABLES = (
    "CHUTES_API_KEY",
    "CHUTES_API_KEYS",
    "CHUTES_CONTAINER_TOOL",
    "CHUTES_DATABASE_URL",
    "CHUTES_DEPLOY_TO",
    "CHUTES_DRAIN_DELAY",
    "CHUTES_ENGINE_PYTHON",
    "CHUTES_FAST_PATH",
    "CHUTES_HOME",
    "CHUTES_HOST",
    "CHUTES_JOBS_KEEP_DAYS",
    "CHUTES_JOBS_MAX_FILES_SIZE",
    "CHUTES_LISTEN_FD",
    "CHUTES_LOG_FORMAT",
    "CHUTES_LOG_LEVEL",
    "CHUTES_OTEL",
    "CHUTES_PORT",
    "CHUTES_PROBE_PORT",
    "CHUTES_RAY_PYTHON",
    "CHUTES_REGISTRY",
    "CHUTES_WEBHOOK_ALLOW_PRIVATE",
    "CHUTES_WEBHOOK_SECRET",
)

_PREFIX = "CHUTES_"
_HIGHEST_PORT, _HIGHEST_DESCRIPTOR = 65535, 1_048_576
_MOST_DAYS = 36_525
_UNITS = {"": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets begin with
_SECRET_BYTES = (24, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtelSettings:
    """What the environment says of OpenTelemetry; its SDK reads the other `OTEL_*` variables itself.

    Attributes:
        tracing: "asked" by `CHUTES_OTEL=on`, "offered" by the address of a collector alone, else "off".
        exporters: `OTEL_TRACES_EXPORTER`, a list of names; "otlp" when unset.
        protocol: `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, or the same without `TRACES_`; "http/protobuf" when unset.
    """

    tracing: Tracing = "off"
    exporters: tuple[str, ...] = ("otlp",)
    protocol: str = "http/protobuf"

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "OtelSettings":
        """Read the variables.

        Raises:
            SettingsError: `CHUTES_OTEL` is neither on, off nor auto.
        """
        exporters = (env.get("OTEL_TRACES_EXPORTER") or "otlp").split(",")
        return cls(
            tracing=_tracing(env),
            exporters=tuple(name.strip() for name in exporters if name.strip()),
            protocol=env.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            or env.get("OTEL_EXPORTER_OTLP_PROTOCOL")
            or "http/protobuf",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """What the environment says of webhooks of jobs.

    Attributes:
        secrets: `CHUTES_WEBHOOK_SECRET`: each signs, so that receivers can change from one to the next; none, no webhooks.
        private_hosts: `CHUTES_WEBHOOK_ALLOW_PRIVATE`: names, addresses and networks that they may go to though they are not
            public; "*" stands for all.
    """

    secrets: tuple[str, ...] = field(default=(), repr=False)
    private_hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "WebhookSettings":
        """Read the variables.

        Raises:
            SettingsError: a secret is none, or a host cannot be.
        """
        secrets = env.get("CHUTES_WEBHOOK_SECRET", "").replace(",", " ").split()
        for secret in secrets:
            _check_secret(secret)
        return cls(secrets=tuple(secrets), private_hosts=_hosts(env.get("CHUTES_WEBHOOK_ALLOW_PRIVATE", "")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says; a variable that is unset or empty leaves the default.

    Attributes:
        api_keys: `CHUTES_API_KEYS` as written: the keys that a server accepts, or the file that lists them.
        api_key: `CHUTES_API_KEY`: the key that a client sends.
        database_url: `CHUTES_DATABASE_URL`: the PostgreSQL that keeps the jobs, empty for a file under `home`.
        container_tool: `CHUTES_CONTAINER_TOOL`: what builds images, None when unset.
        deploy_to: `CHUTES_DEPLOY_TO`: where chutes run that are deployed, such as "kubernetes"; None when unset.
        registry: `CHUTES_REGISTRY`: host and path that go before the name of an image; None when unset.
        drain_delay: `CHUTES_DRAIN_DELAY`, in seconds; None leaves it to the chute.
        ray_python: `CHUTES_RAY_PYTHON`: the interpreter that has Ray, None when unset.
        log_format: `CHUTES_LOG_FORMAT`; "auto" is human on a terminal and JSON elsewhere.
        log_level: `CHUTES_LOG_LEVEL`, None when unset.
        engine_python: `CHUTES_ENGINE_PYTHON`, the interpreter that has the engine, for chutes that name none.
        fast_path: `CHUTES_FAST_PATH`; "off" has FastAPI itself answer every cord.
        home: `CHUTES_HOME`, the folder for what outlives a process; default `~/.chutes`.
        keeps_jobs: `CHUTES_HOME` or `CHUTES_DATABASE_URL` is set: somebody has said where jobs are kept.
        host: `CHUTES_HOST`, the address to bind, None when unset.
        port: `CHUTES_PORT`, 0 to 65535, None when unset.
        probe_port: `CHUTES_PROBE_PORT`, 0 to 65535, None when unset: no such port.
        job_retention: `CHUTES_JOBS_KEEP_DAYS`, in seconds: for how long runs of jobs are kept after their end.
        job_files_size: `CHUTES_JOBS_MAX_FILES_SIZE`, in bytes: of the files of one run that are kept, at most.
        listen_fd: `CHUTES_LISTEN_FD`, a bound socket that the reload supervisor hands to its child.
        no_color: `NO_COLOR` is set: no colours on any terminal.
        otel: `CHUTES_OTEL`, and what else concerns traces.
        webhooks: `CHUTES_WEBHOOK_SECRET` and `CHUTES_WEBHOOK_ALLOW_PRIVATE`.
        unrecognised: names of the other `CHUTES_*` variables.
    """

    api_keys: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    database_url: str = field(default="", repr=False)
    container_tool: str | None = None
    deploy_to: str | None = None
    registry: str | None = None
    ray_python: str | None = None
    drain_delay: float | None = None
    log_format: LogFormat = "auto"
    log_level: str | None = None
    engine_python: str | None = None
    fast_path: bool = True
    home: Path = Path(".chutes")
    keeps_jobs: bool = False
    host: str | None = None
    port: int | None = None
    probe_port: int | None = None
    job_retention: float = 7 * 86_400.0
    job_files_size: int = 256 * 1024**2
    listen_fd: int | None = None
    no_color: bool = False
    otel: OtelSettings = OtelSettings()
    webhooks: WebhookSettings = WebhookSettings()
    unrecognised: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the variables of `environ`, by default those of the process.

        Raises:
            SettingsError: a value cannot be used; the text names the variable and says what to write.
        """
        env = os.environ if environ is None else environ  # noqa: TID251 - this is the one reader
        return cls(
            api_keys=env.get("CHUTES_API_KEYS", ""),
            api_key=env.get("CHUTES_API_KEY", ""),
            database_url=_database_url(env.get("CHUTES_DATABASE_URL", "")),
            container_tool=env.get("CHUTES_CONTAINER_TOOL", "").strip() or None,
            deploy_to=env.get("CHUTES_DEPLOY_TO", "").strip() or None,
            registry=env.get("CHUTES_REGISTRY", "").strip().rstrip("/") or None,
            ray_python=env.get("CHUTES_RAY_PYTHON", "").strip() or None,
            drain_delay=_delay("CHUTES_DRAIN_DELAY", env.get("CHUTES_DRAIN_DELAY", "")),
            log_format=_log_format(env.get("CHUTES_LOG_FORMAT", "")),
            log_level=_log_level(env.get("CHUTES_LOG_LEVEL", "")),
            engine_python=env.get("CHUTES_ENGINE_PYTHON", "").strip() or None,
            fast_path=_switch("CHUTES_FAST_PATH", env.get("CHUTES_FAST_PATH", "")),
            home=_home(env.get("CHUTES_HOME", "")),
            keeps_jobs=any(env.get(name, "").strip() for name in ("CHUTES_HOME", "CHUTES_DATABASE_URL")),
            host=env.get("CHUTES_HOST", "").strip() or None,
            port=_port("CHUTES_PORT", env.get("CHUTES_PORT", ""), "8000"),
            probe_port=_port("CHUTES_PROBE_PORT", env.get("CHUTES_PROBE_PORT", ""), "8001"),
            listen_fd=_number("CHUTES_LISTEN_FD", env.get("CHUTES_LISTEN_FD", ""), _HIGHEST_DESCRIPTOR, "3"),
            job_retention=_days("CHUTES_JOBS_KEEP_DAYS", env.get("CHUTES_JOBS_KEEP_DAYS", "")),
            job_files_size=_size("CHUTES_JOBS_MAX_FILES_SIZE", env.get("CHUTES_JOBS_MAX_FILES_SIZE", "")),
            no_color=bool(env.get("NO_COLOR")),
            otel=OtelSettings.of(env),
            webhooks=WebhookSettings.of(env),
            unrecognised=tuple(
                sorted(name for name in env if name.startswith(_PREFIX) and name not in VARIABLES)
            ),
        )

    def unknown(self) -> tuple[str, ...]:
        """One sentence for each variable that looks like a misspelt one of ours.

        Other `CHUTES_*` variables are somebody else's: the public platform sets several.
        """
        ours = {_letters(variable): variable for variable in VARIABLES}
        sentences = []
        for name in self.unrecognised:
            nearest = difflib.get_close_matches(_letters(name), ours, n=1, cutoff=0.8)
            if nearest:
                sentences.append(f"The variable {name} is not read. Did you mean {ours[nearest[0]]}?")
        return tuple(sentences)


def variable(name: str) -> str | None:
    """The value of a variable that the user has named, such as one that a chute is to be given; None when unset."""
    return os.environ.get(name)  # noqa: TID251 - this is the one reader


def check_log_level(level: str) -> str:
    """Return `level` in lower case.

    Raises:
        SettingsError: there is no such level.
    """
    folded = level.strip().lower()
    if folded not in LOG_LEVELS:
        raise SettingsError(
            f"Unknown log level {level!r}.{did_you_mean(level, LOG_LEVELS)}"
            f" It is one of {', '.join(LOG_LEVELS)}."
        )
    return folded


def _letters(variable: str) -> str:
    """What tells a variable apart; the prefix that all share would make any two look alike."""
    return variable.removeprefix(_PREFIX).replace("_", "")


def _check_secret(secret: str) -> None:
    try:
        size = len(base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True))
    except (ValueError, binascii.Error):
        size = 0
    least, most = _SECRET_BYTES
    if not secret.startswith(_SECRET_PREFIX) or not least <= size <= most:
        # The value is a secret, so the text does not show it.
        raise SettingsError(
            f"Invalid CHUTES_WEBHOOK_SECRET. It is {_SECRET_PREFIX} and {least} to {most} bytes as base64. Make one with "
            "`chutes keys webhook`."
        )


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(text.lower().replace(",", " ").split())
    if hosts in ((), ("0",), ("off",)):
        return ()
    if hosts in (("1",), ("on",)):
        return ("*",)
    for host in hosts:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", host) and not _is_network(host):
            raise SettingsError(
                f"Invalid CHUTES_WEBHOOK_ALLOW_PRIVATE: {host!r} is no host. Write 1 for all, or a list of names, addresses and "
                "networks, for example CHUTES_WEBHOOK_ALLOW_PRIVATE=hooks.internal,10.0.0.0/8."
            )
    return hosts


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _log_format(text: str) -> LogFormat:
    folded = text.strip().lower() or "auto"
    for known in get_args(LogFormat):
        if folded == known:
            return cast("LogFormat", known)
    raise SettingsError(f"Invalid CHUTES_LOG_FORMAT {text!r}. Write one of {', '.join(get_args(LogFormat))}.")


def _days(variable: str, text: str) -> float:
    """Seconds for a number of days; a week when unset."""
    try:
        days = float(text.strip() or "7")
    except ValueError:
        days = math.nan
    if not 0 < days < _MOST_DAYS:
        raise SettingsError(
            f"Invalid {variable}={text!r}. It takes a number of days above 0, for example {variable}=7."
        )
    return days * 86_400


def _delay(variable: str, text: str) -> float | None:
    try:
        seconds = float(text) if text.strip() else None
    except ValueError:
        seconds = math.nan
    if seconds is not None and not 0 <= seconds < math.inf:
        raise SettingsError(
            f"Invalid {variable}={text!r}. It takes seconds, 0 or more, for example {variable}=10."
        )
    return seconds


def _size(variable: str, text: str) -> int:
    """Bytes; 256 MiB when unset."""
    found = re.fullmatch(r"([0-9]{1,15})\s*(|kib|mib|gib)", text.strip().lower() or "256mib")
    if found is None:
        raise SettingsError(
            f"Invalid {variable}={text!r}. It takes a number of bytes, KiB, MiB or GiB, for example {variable}=512MiB."
        )
    return int(found[1]) * _UNITS[found[2]]


def _database_url(text: str) -> str:
    address = text.strip()
    if address and not address.startswith(("postgresql://", "postgres://")):
        # The value may hold a password, so the text does not show it.
        raise SettingsError(
            "Invalid CHUTES_DATABASE_URL. Write the address of a PostgreSQL, for example "
            "CHUTES_DATABASE_URL=postgresql://user:password@host:5432/database, or leave it unset for a file in CHUTES_HOME."
        )
    return address


def _switch(variable: str, text: str) -> bool:
    folded = text.strip().lower() or "on"
    if folded not in ("on", "off"):
        raise SettingsError(f"Invalid {variable} {text!r}. Write on or off.")
    return folded == "on"


def _tracing(env: Mapping[str, str]) -> Tracing:
    text = env.get("CHUTES_OTEL", "")
    wanted = text.strip().lower() or "auto"
    if wanted not in ("on", "off", "auto"):
        raise SettingsError(f"Invalid CHUTES_OTEL {text!r}. Write on, off or auto.")
    if wanted == "off" or env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "off"
    if wanted == "on":
        return "asked"
    addresses = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    has_collector = any(env.get(address) for address in addresses)
    return "offered" if has_collector and env.get("OTEL_TRACES_EXPORTER", "").strip() != "none" else "off"


def _log_level(text: str) -> str | None:
    if not text.strip():
        return None
    try:
        return check_log_level(text)
    except SettingsError as exc:
        raise SettingsError(f"Invalid CHUTES_LOG_LEVEL. {exc}") from None


def _home(text: str) -> Path:
    try:
        return Path(text.strip() or "~/.chutes").expanduser().absolute()
    except RuntimeError:
        # A container may run under a user that has no home.
        return Path(".chutes").absolute()


def _port(variable: str, text: str, example: str) -> int | None:
    if text.startswith(("tcp://", "udp://", "sctp://")):
        # Kubernetes sets CHUTES_PORT=tcp://… in every pod that stands beside a service named "chutes".
        return None
    return _number(variable, text, _HIGHEST_PORT, example)


def _number(variable: str, text: str, highest: int, example: str) -> int | None:
    if not text.strip():
        return None
    if not re.fullmatch(r"[0-9]{1,10}", text.strip()) or int(text) > highest:
        raise SettingsError(
            f"Invalid {variable} {text!r}. Write a whole number from 0 to {highest}, "
            f"for example {variable}={example}."
        )
    return int(text)

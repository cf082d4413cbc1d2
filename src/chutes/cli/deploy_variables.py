"""The variables that `chutes deploy` is told to give to a chute: --env, --env-file and --secret."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from chutes.cli.reporting import refuse
from chutes.deploy import Secret
from chutes.settings import variable

__all__ = ["environment_of", "secrets_of"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# How the chute is reached inside of its container is the platform's to say.
_TAKEN = frozenset({"CHUTES_HOME", "CHUTES_HOST", "CHUTES_LISTEN_FD", "CHUTES_PORT"})


def environment_of(items: Sequence[str], files: Sequence[Path]) -> dict[str, str]:
    """The variables by name; those of the command line win over those of files."""
    given: dict[str, str] = {}
    for file in files:
        given |= dict(_lines_of(file))
    for item in items:
        name, value = _pair(item, "--env")
        given[name] = value
    return given


def secrets_of(items: Sequence[str]) -> tuple[Secret, ...]:
    """The secrets, by name and file; no value is looked at."""
    secrets = {}
    for item in items:
        name, equals, file = item.partition("=")
        _check(name, "--secret", "--secret HF_TOKEN")
        if equals and not file:
            refuse(f"Invalid --secret {item!r}. Write the file behind the '=', or the name alone.")
        if equals and not Path(file).is_file():
            # It may be the value itself, typed by mistake.
            refuse(
                f"Invalid --secret {name}=...: what follows the '=' is the path of a file, and there is none of that name. "
                f"For a value in the environment write --secret {name} alone."
            )
        secrets[name] = Secret(name=name, file=str(Path(file).resolve()) if equals else None)
    return tuple(secrets.values())


def _pair(item: str, where: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    _check(name, where, "--env LOG_LEVEL=debug")
    if not equals:
        here = variable(name)
        if here is None:
            refuse(f"The variable {name} is not set here. Set it, or write {name}=VALUE.")
        value = here
    if "\0" in value:
        refuse(f"The value of {name} in {where} has a NUL character, which no variable can hold.")
    return name, value


def _lines_of(file: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        refuse(
            f"Cannot read --env-file '{file}': {exc.strerror if isinstance(exc, OSError) else 'it is no UTF-8 text'}."
        )
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ").lstrip()
        if not text or text.startswith("#"):
            continue
        name, value = _pair(text, f"{file}:{number}")
        yield name, _unquoted(value)


def _unquoted(value: str) -> str:
    """A value in quotes means what is between them, as in a shell."""
    for quote in ("'", '"'):
        if len(value) > 1 and value.startswith(quote) and value.endswith(quote):
            return value[1:-1]
    return value


def _check(name: str, where: str, example: str) -> None:
    if _NAME.fullmatch(name) is None:
        refuse(
            f"Invalid name {name!r} in {where}. A variable has letters, digits and '_', and begins with no digit, for "
            f"example {example}."
        )
    if name in _TAKEN:
        refuse(f"{name} cannot be given in {where}: the platform sets it.")

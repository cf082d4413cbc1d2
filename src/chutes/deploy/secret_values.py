"""Where the values of secrets come from on the machine that deploys; no plan, print or log holds one."""

import re
from collections.abc import Sequence
from pathlib import Path

from chutes.deploy.plan import Secret
from chutes.errors import DeployError
from chutes.settings import variable

__all__ = ["check_secrets", "looks_secret", "secret_value"]

_WORDS = "KEY|KEYS|TOKEN|TOKENS|PASSWORD|PASSWD|PASSPHRASE|SECRET|SECRETS|CREDENTIALS?"
_SECRET_NAME = re.compile(rf"(?:.*_)?(?:API|ACCESS)?(?:{_WORDS})", re.IGNORECASE)
_LOGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]+@", re.IGNORECASE)


def secret_value(secret: Secret) -> str | None:
    """The value of a secret, None when this machine has none: a platform then goes on with the one that it keeps.

    Line ends behind the value are no part of it: editors and `echo` put them there.

    Raises:
        DeployError: its file cannot be read, or is no text.
    """
    if secret.file is None:
        return variable(secret.name) or None
    file = Path(secret.file)
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n") or None
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise DeployError(f"Cannot read the secret {secret.name} from '{file}': {exc.strerror}.") from exc
    except UnicodeDecodeError:
        # Not `from`: that exception shows the bytes.
        raise DeployError(
            f"The secret {secret.name} in '{file}' is no UTF-8 text, and a variable holds only text. Encode it, "
            "for example as base64."
        ) from None


def check_secrets(secrets: Sequence[Secret]) -> None:
    """See that this machine has a value for each.

    Raises:
        DeployError: some have none, or an empty one; all of them are named.
    """
    missing = [secret for secret in secrets if secret_value(secret) is None]
    if not missing:
        return
    first = missing[0].name
    files = [f"{secret.name} (file '{secret.file}')" for secret in missing if secret.file is not None]
    names = [secret.name for secret in missing if secret.file is None] + files
    raise DeployError(
        f"No value here for {'these secrets' if len(names) > 1 else 'the secret'}: {', '.join(names)}. "
        f"Set the variable, for example export {first}=..., or name a file: --secret {first}=FILE."
    )


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable is likely to hold a secret: by its name, or by a password inside of an address."""
    return _SECRET_NAME.fullmatch(name) is not None or _LOGIN.match(value) is not None

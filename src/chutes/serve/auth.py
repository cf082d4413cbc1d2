"""API keys: which ones open the chute, and whether a request has one."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chutes.errors import SettingsError

__all__ = ["KeyRing", "hash_key"]

_HASH_LINE = re.compile(r"sha256:([0-9a-fA-F]{64})(\s+.*)?")


def hash_key(key: str) -> str:
    """The form in which a keys file holds a key: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The digests of the keys that open a chute; an empty ring leaves it open to all."""

    digests: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, setting: str) -> "KeyRing":
        """Read `CHUTES_API_KEYS`: keys with commas between them, or the path of a file of hashes.

        A path has a slash in it, or names a file that is there. Each line of the file is `sha256:<hex>` and may go on
        with a label; blank lines and those that begin with '#' are passed over.

        Raises:
            SettingsError: it has no key in it, the file cannot be read, or a line of it is no hash.
        """
        setting = setting.strip()
        if "," not in setting and ("/" in setting or Path(setting).is_file()):
            return cls(tuple(_read_file(Path(setting).expanduser())))
        keys = [key.strip() for key in setting.split(",") if key.strip()]
        if setting and not keys:
            raise SettingsError(
                "CHUTES_API_KEYS is set and has no key in it, which would leave the chute open. Write at least one key, or "
                "unset it."
            )
        return cls(tuple(hashlib.sha256(key.encode()).digest() for key in keys))

    def __bool__(self) -> bool:
        return bool(self.digests)

    def opens(self, key: bytes) -> bool:
        """Whether `key` is one of the ring's; the time it takes does not depend on how much of it is right."""
        digest = hashlib.sha256(key).digest()
        matches = [hmac.compare_digest(digest, known) for known in self.digests]
        return any(matches)

    def admits(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request's headers hold a key: `Authorization: Bearer <key>` or `X-API-Key: <key>`."""
        for name, value in headers:
            if name == b"x-api-key" and self.opens(value.strip()):
                return True
            if name == b"authorization" and value[:7].lower() == b"bearer " and self.opens(value[7:].strip()):
                return True
        return False


def _read_file(path: Path) -> Iterable[bytes]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"CHUTES_API_KEYS names the file {path}, which cannot be read: {error}. Give keys with commas between them, or a "
            "file with a line `sha256:<hash>` for each."
        ) from error
    digests = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _HASH_LINE.fullmatch(text)
        if match is None:
            raise SettingsError(
                f"{path}, line {number}: {_hidden(text)} is no hash. Write `sha256:` and 64 hexadecimal digits."
            )
        digests.append(bytes.fromhex(match.group(1)))
    if not digests:
        raise SettingsError(
            f"CHUTES_API_KEYS names the file {path}, which has no key in it. Add a line `sha256:<hash>`."
        )
    return digests


def _hidden(text: str) -> str:
    """Enough of a line to find it, too little to use it: it might be a key in the clear."""
    return repr(f"{text[: len(text) // 4][:4]}…")

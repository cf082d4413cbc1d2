"""What went wrong between here and the hub, in words that say what to do."""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from chutes.errors import ModelError

__all__ = ["HubPlace", "explained", "not_cached"]

_REFUSED = (401, 403)
_SERVER_ERROR = 500
_QUERY = re.compile(r"\?[^\s'\"]{20,}")


class HubPlace(Protocol):
    """The hub that was asked."""

    @property
    def folder(self) -> Path:
        """The folder of its cache."""

    @property
    def address(self) -> str:
        """Its address."""

    @property
    def is_offline(self) -> bool:
        """Whether nothing is fetched."""


@contextmanager
def explained(name: str, repository: str, revision: str | None, hub: HubPlace) -> Iterator[None]:
    """Turn every error of `huggingface_hub`, of the network and of the disk into a `ModelError`."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionResolutionError

    try:
        yield
    except HfHubHTTPError as exc:
        raise ModelError(_answered(exc, name, repository, revision, hub)) from exc
    except RevisionResolutionError as exc:
        reason = exc.__cause__
        raise ModelError(
            not_cached(name, revision, hub) if reason is None else _unreachable(name, reason, hub)
        ) from exc
    except HFValidationError as exc:
        raise ModelError(f"Invalid model name {name!r}. On the hub it is written owner/name.") from exc
    except httpx2.TransportError as exc:
        raise ModelError(_broken_off(name, exc, hub)) from exc
    except OSError as exc:
        raise ModelError(_disk(name, exc, hub)) from exc


def not_cached(name: str, revision: str | None, hub: HubPlace) -> str:
    """The text for a model that is not there while nothing may be fetched."""
    at = f" at revision {revision!r}" if revision else ""
    option = f" --revision {revision}" if revision else ""
    return (
        f"The model {name!r}{at} is not in the cache {hub.folder}, and HF_HUB_OFFLINE is set. Fetch it where there is "
        f"a network, into the same folder: chutes models pull {name}{option}. A folder is written ./{name}."
    )


def _answered(exc: Exception, name: str, repository: str, revision: str | None, hub: HubPlace) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    texts: dict[type[Exception], Callable[[], str]] = {
        GatedRepoError: lambda: _gated(name, repository, hub),
        RepositoryNotFoundError: lambda: _unknown(name, repository, hub),
        RevisionNotFoundError: lambda: (
            f"The model {repository} has no revision {revision!r}. See its branches and tags at {hub.address}/{repository}, "
            "or leave the revision out for its main branch."
        ),
    }
    for kind, text in texts.items():
        if isinstance(exc, kind):
            return text()
    status = int(getattr(getattr(exc, "response", None), "status_code", 0))
    if status in _REFUSED:
        return (
            f"The hub at {hub.address} refuses this token ({status}). Log in with `hf auth login`, set HF_TOKEN to a valid "
            "token, or unset it for a public model."
        )
    if status >= _SERVER_ERROR:
        return (
            f"The hub at {hub.address} fails ({status}) for {name}. Try again later: what was fetched stays."
        )
    return f"The hub at {hub.address} answered {status} for {name}: {_shortly(exc)}"


def _gated(name: str, repository: str, hub: HubPlace) -> str:
    return (
        f"The model {name} is gated. Ask for access at {hub.address}/{repository}, then log in with `hf auth login` or "
        "set HF_TOKEN."
    )


def _unknown(name: str, repository: str, hub: HubPlace) -> str:
    return (
        f"The hub at {hub.address} has no model {repository!r}, or it is private. Check the spelling; for a private model log "
        f"in with `hf auth login` or set HF_TOKEN. There is no folder {repository} in {Path.cwd()} either."
    )


def _unreachable(name: str, reason: BaseException, hub: HubPlace) -> str:
    return (
        f"The hub at {hub.address} cannot be reached ({_shortly(reason)}), and {name} is not in the cache {hub.folder}. "
        "Check the network, or fetch it elsewhere with `chutes models pull` and copy that folder here."
    )


def _broken_off(name: str, exc: Exception, hub: HubPlace) -> str:
    return f"The download of {name} from {hub.address} broke off ({_shortly(exc)}). Run it again: files that are whole stay."


def _disk(name: str, exc: OSError, hub: HubPlace) -> str:
    if exc.errno == errno.ENOSPC:
        return f"The disk of {hub.folder} is full: {name} is not whole. Make room, and run it again: whole files stay."
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"Cannot write to the cache {hub.folder} ({exc.strerror}). Set HF_HOME to a folder of your own."
        )
    return f"Cannot fetch {name} from {hub.address}: {_shortly(exc)}"


def _shortly(exc: BaseException) -> str:
    # The query of a large file's address is a signature that opens it.
    text = _QUERY.sub("?...", str(exc)).strip().splitlines()
    return f"{type(exc).__name__}: {text[0]}" if text else type(exc).__name__

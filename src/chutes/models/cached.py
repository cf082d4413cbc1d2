"""What the cache of the hub holds, and how it goes."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chutes.errors import ModelError
from chutes.models.files import Listed, NoChoice, choose_files
from chutes.models.hub import Hub
from chutes.models.model import Form
from chutes.suggestions import did_you_mean

if TYPE_CHECKING:
    from huggingface_hub import CachedRevisionInfo, HFCacheInfo

__all__ = ["CachedModel", "cached_models", "remove_cached"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedModel:
    """One commit of a model, as far as it was fetched.

    Attributes:
        name: the model on the hub.
        revision: the commit.
        branches: branches and tags that stood there when they were last looked up.
        forms: what can be served of it; empty when it is not whole, or was fetched by something else for another purpose.
        size_bytes: bytes on the disk; commits share files that are alike.
        used_at: when one of its files was read last, in seconds since 1970.
        path: its folder.
    """

    name: str
    revision: str
    branches: tuple[str, ...]
    forms: tuple[Form, ...]
    size_bytes: int
    used_at: float
    path: Path


def cached_models(hub: Hub | None = None) -> list[CachedModel]:
    """Every model in the cache, whoever fetched it, by name.

    Raises:
        ModelError: `huggingface_hub` is not installed.
    """
    cache = _scanned(hub or Hub())
    if cache is None:
        return []
    found = [
        CachedModel(
            name=repository.repo_id,
            revision=revision.commit_hash,
            branches=tuple(sorted(revision.refs)),
            forms=_forms(revision),
            size_bytes=revision.size_on_disk,
            used_at=max((file.blob_last_accessed for file in revision.files), default=revision.last_modified),
            path=revision.snapshot_path,
        )
        for repository in cache.repos
        if repository.repo_type == "model"
        for revision in repository.revisions
    ]
    return sorted(found, key=lambda model: (model.name.casefold(), model.revision))


def remove_cached(name: str, *, revision: str | None = None, hub: Hub | None = None) -> int:
    """Remove a model from the cache, or one revision of it; returns the bytes that this frees.

    Args:
        name: the model on the hub.
        revision: a commit or its beginning, or a branch or tag; None: all of them.
        hub: whose cache; None: what the environment says.

    Raises:
        ModelError: it is not in the cache, or cannot be removed.
    """
    where = hub or Hub()
    here = cached_models(where)
    of_name = [model for model in here if model.name == name]
    if not of_name:
        near = did_you_mean(name, (model.name for model in here))
        raise ModelError(f"The model {name!r} is not in the cache {where.folder}.{near}")
    chosen = [model for model in of_name if _is_at(model, revision)]
    if not chosen:
        known = ", ".join(model.revision[:12] for model in of_name)
        raise ModelError(f"The cache has no revision {revision!r} of {name}. It has {known}.")
    cache = _scanned(where)
    if cache is None:
        return 0
    strategy = cache.delete_revisions(*(model.revision for model in chosen))
    try:
        strategy.execute()
    except OSError as exc:
        raise ModelError(f"Cannot remove {name} from {where.folder}: {exc.strerror}.") from exc
    return strategy.expected_freed_size


def _scanned(hub: Hub) -> "HFCacheInfo | None":
    folder = hub.folder
    if not folder.is_dir():
        return None
    from huggingface_hub import scan_cache_dir

    return scan_cache_dir(folder)


def _forms(revision: "CachedRevisionInfo") -> tuple[Form, ...]:
    listed = [
        Listed(file.file_path.relative_to(revision.snapshot_path).as_posix(), file.size_on_disk)
        for file in revision.files
    ]
    forms: list[Form] = []
    with suppress(NoChoice):
        forms.append(choose_files(listed, ("folder",)).form)
    if any(file.path.endswith(".gguf") for file in listed):
        forms.append("gguf")
    return tuple(forms)


def _is_at(model: CachedModel, revision: str | None) -> bool:
    return revision is None or revision in model.branches or model.revision.startswith(revision)

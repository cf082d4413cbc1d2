"""Models on the hub, and the cache that everything on this machine shares."""

import glob
import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from chutes.errors import ModelError
from chutes.models.facts import described
from chutes.models.files import Listed, NoChoice, choose_files
from chutes.models.hub_errors import explained, not_cached
from chutes.models.local import chosen_paths, listed_files
from chutes.models.model import Form, Model
from chutes.models.name import HubName
from chutes.models.progress import Progress, size_text
from chutes.models.transfer import bar_class

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["Hub"]

_INSTALL = "Install it with: pip install 'openchutes[models]'"
_DOWNLOADS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """Where models come from. What is left out is read from the environment by `huggingface_hub`.

    Attributes:
        endpoint: address of the hub; None: `HF_ENDPOINT`, else huggingface.co.
        cache: folder of what was fetched; None: `HF_HUB_CACHE`, else `hub` in `HF_HOME`.
        token: who asks; None: `HF_TOKEN`, else what `hf auth login` has saved.
        offline: ask nobody, and take what the cache has; None: `HF_HUB_OFFLINE`.
    """

    endpoint: str | None = None
    cache: Path | None = None
    token: str | None = field(default=None, repr=False)
    offline: bool | None = None

    @property
    def folder(self) -> Path:
        """The folder of the cache."""
        return (self.cache or Path(_constants().HF_HUB_CACHE)).expanduser().absolute()

    @property
    def address(self) -> str:
        """The address of the hub."""
        return (self.endpoint or _constants().ENDPOINT).rstrip("/")

    @property
    def is_offline(self) -> bool:
        """Whether nothing is fetched."""
        return bool(_constants().HF_HUB_OFFLINE) if self.offline is None else self.offline

    def model(
        self,
        name: str,
        meant: HubName,
        *,
        revision: str | None,
        forms: Sequence[Form],
        progress: Progress,
    ) -> Model:
        """Return a model of the hub; what the cache has not is fetched.

        A commit that is whole in the cache costs no request.

        Raises:
            ModelError: it is not there, has no form of `forms`, or cannot be fetched.
        """
        _constants()
        with explained(name, meant.repository, revision, self), _unlogged_requests():
            commit = self._commit(meant.repository, revision)
            folder = self._snapshot(meant.repository, commit)
            files = self._files(meant.repository, commit, folder)
            if not files and self.is_offline:
                raise ModelError(not_cached(name, revision, self))
            try:
                choice = choose_files(files, forms, meant.file)
            except NoChoice as exc:
                raise ModelError(f"The model {name!r} cannot be used: {exc}.") from None
            missing = [file for file in choice.files if not (folder / file.path).is_file()]
            if missing:
                self._require_fetchable(name, commit, missing)
                self._fetch(name, meant.repository, commit, missing, progress)
        path, weights = chosen_paths(folder, choice)
        return described(
            name=name, path=path, form=choice.form, source="hub", weights=weights, revision=commit
        )

    def _commit(self, repository: str, revision: str | None) -> str:
        resolved = self._api().resolve_revision(
            repository, revision=revision, cache_dir=self.folder, local_files_only=self.is_offline
        )
        return resolved.resolved

    def _files(self, repository: str, commit: str, snapshot: Path) -> list[Listed]:
        """What the repository has at this commit; offline and without a listing, what was fetched of it."""
        from huggingface_hub import get_cached_repo_tree
        from huggingface_hub.errors import CachedRepoTreeNotFoundError
        from huggingface_hub.hf_api import RepoFile

        try:
            tree: Iterable[object] = get_cached_repo_tree(repository, revision=commit, cache_dir=self.folder)
        except CachedRepoTreeNotFoundError:
            if self.is_offline:
                return listed_files(snapshot) if snapshot.is_dir() else []
            tree = self._api().list_repo_tree(repository, revision=commit, recursive=True)
        return [Listed(file.path, file.size) for file in tree if isinstance(file, RepoFile)]

    def _require_fetchable(self, name: str, commit: str, missing: Sequence[Listed]) -> None:
        size = sum(file.size for file in missing)
        if self.is_offline:
            raise ModelError(
                f"The model {name!r} is not whole in the cache {self.folder}, and HF_HUB_OFFLINE is set: {len(missing)} "
                f"files are missing ({size_text(size)}). Fetch them where there is a network, into the same folder: "
                f"chutes models pull {name} --revision {commit}"
            )
        existing = next(folder for folder in (self.folder, *self.folder.parents) if folder.exists())
        free = shutil.disk_usage(existing).free
        if free < size:
            raise ModelError(
                f"No room for {name}: it takes {size_text(size)}, and the disk of {self.folder} has {size_text(free)} left. "
                "Set HF_HOME to a folder on a larger disk, or see what can go with `chutes models`."
            )

    def _fetch(
        self, name: str, repository: str, commit: str, missing: Sequence[Listed], progress: Progress
    ) -> None:
        from huggingface_hub import snapshot_download

        progress.start(name, sum(file.size for file in missing))
        snapshot_download(
            repository,
            revision=commit,
            cache_dir=self.folder,
            endpoint=self.endpoint,
            token=self.token,
            library_name="chutes",
            allow_patterns=[glob.escape(file.path) for file in missing],
            max_workers=_DOWNLOADS_AT_ONCE,
            tqdm_class=bar_class(progress),
        )
        progress.finish()

    def _snapshot(self, repository: str, commit: str) -> Path:
        from huggingface_hub.file_download import repo_folder_name

        return self.folder / repo_folder_name(repo_id=repository, repo_type="model") / "snapshots" / commit

    def _api(self) -> "HfApi":
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=self.token, library_name="chutes")


@contextmanager
def _unlogged_requests() -> Iterator[None]:
    """Keep the lines of the HTTP client out of the log: the addresses of large files hold signatures that open them."""

    def is_more_than_info(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO

    logger = logging.getLogger("httpx2")
    logger.addFilter(is_more_than_info)
    try:
        yield
    finally:
        logger.removeFilter(is_more_than_info)


def _constants() -> ModuleType:
    """What `huggingface_hub` has read from the environment.

    Raises:
        ModelError: it is not installed.
    """
    try:
        from huggingface_hub import constants
    except ModuleNotFoundError:
        raise ModelError(f"Models of the hub need the package huggingface_hub. {_INSTALL}") from None
    return constants

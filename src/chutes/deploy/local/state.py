"""What this machine remembers of a chute: a JSON file each, replaced as a whole, and locks for those who change it."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from chutes.deploy.deployment import Revision
from chutes.deploy.plan import Plan
from chutes.errors import DeployError

__all__ = ["FrontState", "InstanceState", "KeptRevision", "State", "Store", "write_whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceState:
    """One container that runs the chute.

    Attributes:
        name: what the tool calls it.
        port: where it listens, on the loopback address.
        revision: the revision that it was made for.
        gpus: the numbers of the GPUs that are its own.
    """

    name: str
    port: int
    revision: int
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontState:
    """The container that owns the chute's port.

    Attributes:
        name: what the tool calls it.
        host: the address that it is bound to.
        port: the port of the chute.
        control: where it tells of itself.
        number: the version of what it reads and says.
    """

    name: str
    host: str
    port: int
    control: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRevision:
    """A revision, and the one whose containers it runs: a change of their number alone starts none anew."""

    revision: Revision
    containers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that is remembered of one chute; no value of a secret.

    Attributes:
        slug: `username/name`.
        host: the address that its port is bound to.
        port: its port, for ever.
        network: whether its instances use the machine's network ("host") or the tool's ("own"); empty: not known yet.
        generation: how often the front was told what runs.
        current: the number of the revision that answers; 0: none yet.
        revisions: the newest last.
        instances: all containers that may exist, those that start or stop included.
        front: None: not started yet.
        secrets: what the tool calls the secret of each variable.
    """

    slug: str
    host: str
    port: int
    network: str = ""
    generation: int = 0
    current: int = 0
    revisions: tuple[KeptRevision, ...] = ()
    instances: tuple[InstanceState, ...] = ()
    front: FrontState | None = None
    secrets: tuple[tuple[str, str], ...] = ()

    @property
    def serving(self) -> tuple[InstanceState, ...]:
        """The containers of the current revision."""
        number = self.containers_of(self.current)
        return tuple(one for one in self.instances if one.revision == number)

    def containers_of(self, number: int) -> int:
        """The revision whose containers this one runs; 0 for an unknown one."""
        return next((one.containers for one in self.revisions if one.revision.number == number), 0)

    @property
    def plan(self) -> Plan | None:
        """What runs now."""
        return next(
            (one.revision.plan for one in self.revisions if one.revision.number == self.current), None
        )

    @property
    def next_number(self) -> int:
        """The number of the next revision."""
        return self.revisions[-1].revision.number + 1 if self.revisions else 1

    def to_json(self) -> str:
        """Text that `from_json` reads."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["revisions"] = [_revision_values(one) for one in self.revisions]
        values["instances"] = [asdict(one) for one in self.instances]
        values["front"] = None if self.front is None else asdict(self.front)
        values["secrets"] = dict(self.secrets)
        return json.dumps(values, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read it.

        Raises:
            DeployError: it is no such text.
        """
        try:
            values: dict[str, Any] = {
                name: value for name, value in json.loads(text).items() if name in cls.__slots__
            }
            values["revisions"] = tuple(_kept_revision(one) for one in values.get("revisions", ()))
            values["instances"] = tuple(
                InstanceState(**one | {"gpus": tuple(one["gpus"])}) for one in values.get("instances", ())
            )
            values["front"] = FrontState(**values["front"]) if values.get("front") else None
            values["secrets"] = tuple(sorted(values.get("secrets", {}).items()))
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise DeployError(f"This is not what is kept of a deployment: {text[:80]!r}.") from exc


class Store:
    """The folder of all states, `deployments` under `CHUTES_HOME`.

    Args:
        home: that folder's parent.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "deployments"

    def folder(self, slug: str) -> Path:
        """Where a chute's files are."""
        return self._folder / slug

    def slugs(self) -> list[str]:
        """All that something is remembered of, sorted."""
        found = self._folder.glob("*/*/state.json")
        return sorted(f"{file.parent.parent.name}/{file.parent.name}" for file in found)

    def all(self) -> list[State]:
        """What is remembered of all of them."""
        return [state for slug in self.slugs() if (state := self.read(slug)) is not None]

    def read(self, slug: str) -> State | None:
        """What is remembered of one, None when nothing is.

        Raises:
            DeployError: the file cannot be read.
        """
        file = self.folder(slug) / "state.json"
        try:
            return State.from_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise DeployError(f"Cannot read '{file}': {exc.strerror}.") from exc
        except DeployError as exc:
            raise DeployError(f"The file '{file}' is broken. {exc}") from exc

    def write(self, state: State) -> State:
        """Remember it; returns it."""
        write_whole(self.folder(state.slug) / "state.json", state.to_json())
        return state

    def forget(self, slug: str) -> None:
        """Remember nothing of it."""
        shutil.rmtree(self.folder(slug), ignore_errors=True)
        with contextlib.suppress(OSError):
            # It goes when it was the last of its username.
            self.folder(slug).parent.rmdir()

    @contextlib.contextmanager
    def changing(self, slug: str) -> Iterator[None]:
        """Change one; nobody else does meanwhile.

        Raises:
            DeployError: somebody does already.
        """
        with self._locked(slug.replace("/", "."), wait=False) as is_mine:
            if not is_mine:
                raise DeployError(f"{slug} is being changed by another command. Wait until that has ended.")
            yield

    @contextlib.contextmanager
    def sharing_out(self) -> Iterator[None]:
        """Give ports and GPUs away: one chute at a time."""
        with self._locked("all", wait=True):
            yield

    @contextlib.contextmanager
    def _locked(self, name: str, *, wait: bool) -> Iterator[bool]:
        # A lock's file stays: one that is removed can be held by two.
        folder = self._folder / ".locks"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise DeployError(f"Cannot write to '{folder}': {exc.strerror}.") from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(descriptor)


def write_whole(file: Path, text: str) -> None:
    """Write a file that others read: they see the old text or the new one, also after a power cut.

    Raises:
        DeployError: it cannot be written.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        beside.chmod(0o644)
        beside.replace(file)
    except OSError as exc:
        raise DeployError(f"Cannot write '{file}': {exc.strerror}.") from exc


def _revision_values(kept: KeptRevision) -> dict[str, Any]:
    one = kept.revision
    return {
        "number": one.number,
        "plan": json.loads(one.plan.to_json()),
        "created_at": one.created_at.isoformat(),
        "outcome": one.outcome,
        "note": one.note,
        "containers": kept.containers,
    }


def _kept_revision(values: dict[str, Any]) -> KeptRevision:
    plan = Plan.from_json(json.dumps(values["plan"]))
    revision = Revision(
        number=values["number"],
        plan=plan,
        created_at=datetime.fromisoformat(values["created_at"]),
        outcome=values["outcome"],
        note=values["note"],
    )
    return KeptRevision(revision=revision, containers=values["containers"])

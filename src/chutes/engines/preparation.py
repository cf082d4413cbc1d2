"""What has to be known before an engine can be started: the machine, the engines on it, the model, the choice."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chutes.chute.engine import EngineSpec
from chutes.engines.engine import CPU_CONTEXT, Engine, Launch
from chutes.engines.hardware import Hardware, HardwareProbe, MachineProbe
from chutes.engines.installed import Installed, look_into
from chutes.engines.known import KNOWN
from chutes.engines.pick import Pick, pick, usable_forms
from chutes.engines.words import Translation, translate
from chutes.errors import ModelError
from chutes.models.find import find_model
from chutes.models.model import Form, Model
from chutes.models.name import HubName, parse_name
from chutes.models.progress import LogProgress

__all__ = ["Preparation", "Prepared"]

logger = logging.getLogger("chutes.engine")

_ALL_FORMS: tuple[Form, ...] = ("folder", "gguf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything about an engine's start but its port and key."""

    spec: EngineSpec
    model: Model
    hardware: Hardware
    installed: Installed
    pick: Pick

    @property
    def engine(self) -> Engine:
        """The engine that was picked."""
        return self.pick.engine

    def launch(self, *, port: int, key: str, concurrency: int) -> Launch:
        """The whole, for the engine's command line; arguments that it has no words for are left out."""
        said = translate(self.spec.arguments, self._written_for, self.engine.name)
        return Launch(
            spec=self.spec,
            model=self.model,
            hardware=self.hardware,
            installed=self.installed,
            python=self.installed.python,
            port=port,
            key=key,
            concurrency=said.concurrency or concurrency,
            arguments=said.arguments,
            context=self._context(said),
        )

    @property
    def left_out(self) -> tuple[str, ...]:
        """Arguments that the picked engine has no words for."""
        return translate(self.spec.arguments, self._written_for, self.engine.name).left_out

    @property
    def _written_for(self) -> str:
        return self.spec.arguments_for

    def _context(self, said: Translation) -> int | None:
        known = self.model.context_length
        if said.context is not None:
            return said.context
        if self.hardware.gpus:
            return None
        return min(known, CPU_CONTEXT) if known else None


@dataclass(kw_only=True)
class Preparation:
    """Finds it all out, in a thread.

    Attributes:
        probe: who says what the machine has.
        look: who says what an interpreter has.
        known: the engines to choose from.
    """

    probe: HardwareProbe
    look: Callable[[str | None], Installed] = look_into
    known: Sequence[Engine] = KNOWN

    @classmethod
    def of_this_machine(cls) -> "Preparation":
        """One that asks the system."""
        return cls(probe=MachineProbe())

    def run(self, spec: EngineSpec, given_up: threading.Event) -> Prepared:
        """Blocking, for as long as the model's download takes; `given_up` ends it.

        Raises:
            EngineError: no engine fits; the text says what to install.
            ModelError: the model is not there and cannot be fetched.
        """
        hardware = self.probe.look()
        installed = self.look(spec.python)
        forms = usable_forms(spec, hardware, installed, known=self.known)
        if not isinstance(parse_name(spec.model_name), HubName):
            # It costs no download: `pick` then says which engine the model that is there would need.
            forms = tuple(dict.fromkeys((*forms, *_ALL_FORMS)))
        model = find_model(
            spec.model_name, revision=spec.revision, forms=forms, progress=_GiveUp(LogProgress(), given_up)
        )
        return Prepared(
            spec=spec,
            model=model,
            hardware=hardware,
            installed=installed,
            pick=pick(spec, model, hardware, installed, known=self.known),
        )


class _GiveUp:
    """A download's progress that ends the download when nobody waits for it any more."""

    def __init__(self, inner: LogProgress, given_up: threading.Event) -> None:
        self._inner = inner
        self._given_up = given_up

    def start(self, name: str, total_bytes: int) -> None:
        self._inner.start(name, total_bytes)

    def advance(self, size_bytes: int) -> None:
        if self._given_up.is_set():
            raise ModelError(
                "The download was given up: the chute stops. What has come stays for the next time."
            )
        self._inner.advance(size_bytes)

    def finish(self) -> None:
        self._inner.finish()

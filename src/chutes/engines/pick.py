"""Which engine serves a model on this machine, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from chutes.chute.engine import EngineSpec
from chutes.engines.engine import Engine
from chutes.engines.hardware import Hardware
from chutes.engines.installed import Installed
from chutes.engines.known import KNOWN
from chutes.errors import EngineError
from chutes.models.model import Form, Model

__all__ = ["Pick", "pick", "usable_forms"]

_KINDS: dict[Form, str] = {"folder": "a folder of weights", "gguf": "a GGUF file"}
_DEEDS = {"generate": "generate text", "embed": "embed text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """The engine that was chosen, and a sentence that says why."""

    engine: Engine
    reason: str


def pick(
    spec: EngineSpec,
    model: Model,
    hardware: Hardware,
    installed: Installed,
    *,
    known: Sequence[Engine] = KNOWN,
) -> Pick:
    """Choose the engine that `spec` names or, for `auto`, the first that fits the machine, the model and the task.

    Raises:
        EngineError: none fits; the text says why not, and what to install.
    """
    candidates = _candidates(spec, known)
    for engine in candidates:
        if _obstacle(engine, spec, hardware, installed, model.form) is None:
            return Pick(engine=engine, reason=_reason(engine, spec, model, hardware, installed))
    raise EngineError(_refusal(candidates, spec, hardware, installed, model.form))


def usable_forms(
    spec: EngineSpec, hardware: Hardware, installed: Installed, *, known: Sequence[Engine] = KNOWN
) -> tuple[Form, ...]:
    """The forms of weights that some engine could take here, the best first: known before anything is downloaded.

    Raises:
        EngineError: no engine could take any form.
    """
    candidates = _candidates(spec, known)
    fitting = [engine for engine in candidates if _obstacle(engine, spec, hardware, installed) is None]
    if not fitting:
        raise EngineError(_refusal(candidates, spec, hardware, installed, _form_of(spec)))
    # A GGUF file is the smaller, and without a GPU the faster.
    forms = dict.fromkeys(form for engine in fitting for form in engine.forms)
    return tuple(sorted(forms, key=lambda form: form != "gguf")) if not hardware.gpus else tuple(forms)


def _form_of(spec: EngineSpec) -> Form:
    return "gguf" if ".gguf" in spec.model_name else "folder"


def _candidates(spec: EngineSpec, known: Sequence[Engine]) -> list[Engine]:
    if spec.engine != "auto":
        return [engine for engine in known if engine.name == spec.engine]
    return sorted(known, key=lambda engine: engine.name != spec.arguments_for)


def _obstacle(
    engine: Engine, spec: EngineSpec, hardware: Hardware, installed: Installed, form: Form | None = None
) -> str | None:
    """Why this engine is out, as the end of a sentence; None when it is not."""
    if spec.task not in engine.tasks:
        return f"it does not {_DEEDS[spec.task]}"
    if form is not None and form not in engine.forms:
        return f"it does not take {_KINDS[form]}"
    if engine.version(installed) is None:
        return "it is not installed"
    return engine.obstacle(hardware, installed)


def _reason(engine: Engine, spec: EngineSpec, model: Model, hardware: Hardware, installed: Installed) -> str:
    what = f"{model.name} is {_KINDS[model.form]}, to {_DEEDS[spec.task]}"
    who = "engine= names it" if spec.engine != "auto" else "the first that fits"
    return f"{engine.title} ({engine.version(installed)}) serves the model: {who}. {what}; the machine has {hardware}."


def _refusal(
    candidates: Sequence[Engine], spec: EngineSpec, hardware: Hardware, installed: Installed, form: Form
) -> str:
    lines = [
        f"{engine.title}: {_obstacle(engine, spec, hardware, installed, form)}." for engine in candidates
    ]
    wanted = f"{spec.model_name!r} ({_KINDS[form]}, to {_DEEDS[spec.task]})"
    which = "No engine" if spec.engine == "auto" else f"engine={spec.engine!r}"
    verb = "serves" if spec.engine == "auto" else "cannot serve"
    advice = _advice(candidates, spec, hardware, installed, form)
    return f"{which} {verb} {wanted} on this machine: {hardware}. {' '.join(lines)} {advice}"


def _advice(
    candidates: Sequence[Engine], spec: EngineSpec, hardware: Hardware, installed: Installed, form: Form
) -> str:
    fit = [engine for engine in candidates if spec.task in engine.tasks and form in engine.forms]
    absent = [engine for engine in fit if engine.version(installed) is None]
    able = [engine for engine in absent if engine.obstacle(hardware, installed) is None]
    if able:
        # What one command installs comes before what needs more.
        choice = min(able, key=lambda engine: bool(engine.caution(hardware)))
        caution = choice.caution(hardware)
        before = f"{caution} " if caution else ""
        return (
            f"{before}Install {choice.title}: {installed.python} -m pip install {choice.packages(hardware)}"
        )
    if spec.engine != "auto":
        return "Write engine='auto', or another model."
    others = "with a .gguf file" if form == "folder" else "with a folder of .safetensors weights"
    return f"Take a model {others}, or a machine with a GPU."

"""From the name of a model to its weights on this machine, downloaded where they are missing."""

from collections.abc import Sequence

from chutes.models.hub import Hub
from chutes.models.local import local_model
from chutes.models.model import Form, Model
from chutes.models.name import HubName, PackageName, parse_name
from chutes.models.package import package_file, package_version
from chutes.models.progress import LogProgress, Progress

__all__ = ["find_model"]


def find_model(
    name: str,
    *,
    revision: str | None = None,
    forms: Sequence[Form] = ("folder", "gguf"),
    hub: Hub | None = None,
    progress: Progress | None = None,
) -> Model:
    """Return the model of this name; download it first where it is not on this machine.

    Blocking: call it in a thread. To give up a download, let `progress` raise.

    Args:
        name: a folder, a `.gguf` file, `package:import_name/file.gguf`, or a model on the hub: `owner/name`, with
            `:file.gguf` or `:Q4_K_M` behind it for one file of a GGUF repository. What exists in the file system comes
            before the hub.
        revision: branch, tag or commit on the hub; None: its main branch.
        forms: what the engine takes, the best first: of a repository that has several, only the first is fetched.
        hub: where models come from; None: what the environment says (`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN`,
            `HF_HUB_OFFLINE`).
        progress: is told how the download goes; None: log lines.

    Raises:
        ModelError: there is no such model, it has none of these forms, or it cannot be fetched; the text says what to do.
    """
    meant = parse_name(name)
    if isinstance(meant, HubName):
        return (hub or Hub()).model(
            name, meant, revision=revision, forms=forms, progress=progress or LogProgress()
        )
    if isinstance(meant, PackageName):
        version = package_version(meant.package)
        return local_model(name, package_file(meant), forms, source="package", revision=version)
    return local_model(name, meant.path, forms)

"""End the cluster on this machine: its applications first, then its own processes, and nobody else's."""

import shutil
from contextlib import suppress

import httpx2

from chutes.deploy.cluster.own_processes import end, is_running
from chutes.deploy.cluster.state import ClusterState, forget, kept, local_cluster
from chutes.deploy.platforms import Say
from chutes.errors import DeployError
from chutes.settings import Settings

__all__ = ["stop_cluster"]

_APPLICATIONS_SECONDS = 90.0
_GRACE = 15.0


def stop_cluster(settings: Settings, *, now: bool, say: Say) -> bool:
    """End it, and return whether there was one.

    Args:
        settings: name the folder that knows of it.
        now: leave chutes no time to end what they do.
        say: gets a line of progress at a time.
    """
    state = kept(settings)
    if state is None:
        return False
    if not now and any(map(is_running, state.nodes)):
        say("Ending the chutes.")
        _end_applications(settings, state)
    say(f"Ending {len(state.nodes)} node{'s' * (len(state.nodes) > 1)}.")
    killed = end(state.mark, state.nodes, grace=0 if now else _GRACE)
    if killed and not now:
        say(f"{killed} processes had not ended within {_GRACE:g} s, and were killed.")
    shutil.rmtree(state.folder, ignore_errors=True)
    forget(settings)
    return True


def _end_applications(settings: Settings, state: ClusterState) -> None:
    """Shutdown hooks run now; a cluster that no longer answers ends without them."""
    with suppress(httpx2.HTTPError, DeployError):
        address = local_cluster(settings)
        headers = {"Authorization": f"Bearer {address.token}"} if address else {}
        httpx2.delete(
            f"{state.dashboard}/api/serve/applications/", headers=headers, timeout=_APPLICATIONS_SECONDS
        )

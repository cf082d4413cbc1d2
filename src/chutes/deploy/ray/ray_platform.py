"""A Ray cluster as a platform, reached over its dashboard's HTTP API: no Ray is needed here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from chutes.build.context import Context
from chutes.deploy.deployment import Deployment, Revision
from chutes.deploy.plan import Plan
from chutes.deploy.platforms import Say
from chutes.deploy.ray.applications import Applications
from chutes.deploy.ray.config import Code, application, application_name
from chutes.deploy.ray.dashboard import Dashboard
from chutes.deploy.ray.nodes import check_cluster, makes_nodes
from chutes.deploy.ray.packages import code_of, packages_of, secrets_package
from chutes.deploy.ray.records import Record, Records
from chutes.deploy.ray.replica_logs import follow_logs, last_lines
from chutes.deploy.ray.waiting import Waiting
from chutes.errors import DeployError

__all__ = ["RayPlatform"]

_SECONDS_TO_GO_BACK = 120.0
_LOG_LINES = 20


class RayPlatform:
    """A `Platform` that runs each chute as an application of Ray Serve.

    A plan without an image runs from the chute's files, which are sent to the cluster: `context` has them. One with
    an image runs inside of it, on nodes that have podman.

    Args:
        address: of the dashboard, such as `http://127.0.0.1:8265`.
        token: what the cluster asks for; None for one that asks for none.
        context: the files of the chute that is about to be applied; scaling and going back need none.
        secrets: values of the plan's secrets by name; those that are missing stay as the cluster has them.
        url: where the chutes are called, such as `https://chutes.example.com`; None: the cluster is asked.
        timeout: seconds in which a revision has to get ready.
    """

    def __init__(
        self,
        *,
        address: str,
        token: str | None = None,
        context: Context | None = None,
        secrets: Mapping[str, str] = MappingProxyType({}),
        url: str | None = None,
        timeout: float = 900,
    ) -> None:
        self._dashboard = Dashboard(address, token)
        self._applications = Applications(self._dashboard, url)
        self._context = context
        self._secrets = secrets
        self._timeout = timeout

    def deployments(self) -> Sequence[Deployment]:
        """All chutes that run there, sorted by slug; other applications of Serve are passed over."""
        return self._applications.deployments()

    def apply(self, plan: Plan, *, note: str, say: Say) -> Deployment:
        """Have it run as a new revision, and wait until it is ready.

        Replicas of the new revision start beside those of the old one. When it does not get ready, the old one is put
        back.

        Raises:
            DeployError: nothing there satisfies the plan, another version of Ray or Python runs there, or it did not
                get ready.
        """
        check_cluster(self._dashboard, plan, say)
        before = self._applications.config(application_name(plan))
        records = Records.of(before or {})
        revision = Revision(number=records.newest + 1, plan=plan, created_at=datetime.now(UTC), note=note)
        record = Record(revision, self._code(plan, records, say))
        say(f"Revision {revision.number} of {plan.slug}: sent to {self._dashboard.address}.")
        wanted = records.with_new(record).written(_proved(plan, record.code))
        grows = makes_nodes(self._dashboard.autoscaling())
        waiting = Waiting(self._applications, wanted, plan, grows=grows)
        try:
            self._applications.put(wanted)
            waiting.wait(self._timeout, say)
        except (DeployError, KeyboardInterrupt) as exc:
            self._take_back(before, records.with_failed(record), record, exc, say)
            raise
        self._applications.put(records.with_new(record).written(application(plan, record.code)))
        say(f"Revision {revision.number} of {plan.slug} is ready.")
        return self._found(plan.slug)

    def logs(self, slug: str, *, lines: int, follow: bool, instance: str | None = None) -> Iterator[str]:
        """The last lines that its replicas wrote, and then those that come.

        Raises:
            DeployError: no such chute runs there, or it has no replica of that name.
        """
        name = application_name(self._found(slug).plan)
        return follow_logs(self._dashboard, self._applications, name, lines, follow=follow, instance=instance)

    def delete(self, slug: str, *, data: bool, say: Say) -> None:
        """End it and forget its revisions.

        Raises:
            DeployError: no such chute runs there.
        """
        name = application_name(self._found(slug).plan)
        self._applications.remove(name)
        say(f"Deleted {slug}.")

    def _found(self, slug: str) -> Deployment:
        for deployment in self.deployments():
            if deployment.slug == slug:
                return deployment
        raise DeployError(f"No chute '{slug}' runs on the Ray cluster at {self._dashboard.address}.")

    def _code(self, plan: Plan, records: Records, say: Say) -> Code:
        """Where the code of a plan is; what the cluster does not have yet is sent."""
        known = records.code_of(plan)
        if self._context is not None and not plan.image:
            for package in packages_of(self._context):
                self._dashboard.upload(package)
            code = code_of(self._context)
        elif known is not None:
            code = known
        elif plan.image:
            code = Code()
        else:
            raise DeployError(
                f"The cluster has no files of {plan.slug} for this revision. Deploy it from its file."
            )
        if code.requirements:
            say("Each node installs the chute's requirements before its first replica starts.")
        return replace(code, secrets=self._secret_uri(plan, records))

    def _secret_uri(self, plan: Plan, records: Records) -> str:
        """Where the values of the secrets are; those that this machine has are sent."""
        wanted = frozenset(secret.name for secret in plan.secrets)
        if not wanted:
            return ""
        given = {name: value for name, value in self._secrets.items() if name in wanted}
        if wanted == set(given):
            package = secrets_package(given)
            self._dashboard.upload(package)
            return package.uri
        if (kept := records.secrets_of(wanted)) is not None:
            return kept
        missing = ", ".join(sorted(wanted - set(given)))
        raise DeployError(f"Neither this machine nor the cluster has a value for the secrets: {missing}.")

    def _take_back(
        self, before: dict[str, Any] | None, records: Records, record: Record, exc: BaseException, say: Say
    ) -> None:
        """Put back what ran before, and have the error tell what the replicas wrote."""
        name = application_name(record.revision.plan)
        if isinstance(exc, DeployError):
            lines = last_lines(self._dashboard, self._applications, name, _LOG_LINES)
            if lines:
                exc.args = ("\n".join([f"{exc}", "The last lines of its log:", *lines]),)
        if before is None:
            self._applications.remove(name)
            say("It was taken away again.")
            return
        restored = records.written(before)
        self._applications.put(restored)
        say(f"Revision {records.current} is put back.")
        try:
            plan = next(one.revision.plan for one in records.kept if one.revision.number == records.current)
            Waiting(self._applications, restored, plan, grows=False).wait(
                _SECONDS_TO_GO_BACK, lambda _line: None
            )
        except DeployError:
            say(f"It is not ready again so far; see `chutes status {record.revision.plan.slug}`.")


def _proved(plan: Plan, code: Code) -> dict[str, Any]:
    """The application with at least one replica: only one that has started says that the revision is good."""
    found = application(plan, code)
    scaling = found["deployments"][0]["autoscaling_config"]
    if plan.instances != 0:
        scaling["min_replicas"] = max(1, scaling["min_replicas"])
    return found

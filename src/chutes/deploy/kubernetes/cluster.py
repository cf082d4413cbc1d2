"""The platform 'kubernetes': a cluster that kubectl reaches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chutes.deploy.deployment import Deployment, Outcome, Revision
from chutes.deploy.kubernetes.kubectl import Kubectl
from chutes.deploy.kubernetes.manifests import manifests
from chutes.deploy.kubernetes.names import MANAGED, REVISIONS, object_name
from chutes.deploy.kubernetes.nodes import check_nodes
from chutes.deploy.kubernetes.objects import (
    identity,
    not_in,
    template_in,
    with_running_replicas,
    workloads_in,
)
from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.kubernetes.pod import secret_name, volume_claim
from chutes.deploy.kubernetes.pods import chute_of, instance
from chutes.deploy.kubernetes.records import Record, record_name
from chutes.deploy.kubernetes.rollout import Rollout, last_words
from chutes.deploy.kubernetes.secret_object import SecretObject
from chutes.deploy.kubernetes.yaml_text import yaml_text
from chutes.deploy.plan import Plan, Secret
from chutes.deploy.platforms import Say
from chutes.deploy.secret_values import secret_value
from chutes.errors import DeployError

__all__ = ["KubernetesPlatform"]


@dataclass(frozen=True, slots=True)
class KubernetesPlatform:
    """Runs chutes on a Kubernetes cluster.

    Attributes:
        kubectl: how the cluster is reached, as `find_kubectl` finds it.
        options: how plans are written down for it; None: as when the chute was deployed before.
        changes: fields of these options that are to have other values.
        ready_seconds: how long a revision may take to get ready.
        check_nodes: refuse a selector that no node satisfies; not for clusters that add nodes when they are asked for.
        value_of: the value of a secret; None when there is none, and then the one that was given before is kept.
        pause: seconds between two looks at what gets ready.
    """

    kubectl: Kubectl
    options: ManifestOptions | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    ready_seconds: float = 900
    check_nodes: bool = True
    value_of: Callable[[Secret], str | None] = secret_value
    pause: float = 1.0

    def deployments(self) -> Sequence[Deployment]:
        """All chutes that were deployed here, sorted by their slug."""
        records = self._records()
        pods = self.kubectl.get("pods", selector=MANAGED) if records else []
        return [_deployment(records[slug], pods) for slug in sorted(records)]

    def apply(self, plan: Plan, *, note: str, say: Say) -> Deployment:
        """Make it so as a new revision, and wait until it is ready.

        Raises:
            DeployError: no node has what it asks for, a secret has no value, or it did not get ready.
        """
        before = self._records().get(plan.slug)
        options = self.options or (before.options if before else ManifestOptions())
        options = options.changed(self.changes)
        _check_form(plan, before, options)
        number = before.revisions[-1].number + 1 if before else 1
        # All that can be refused is refused before anything is changed.
        manifests(plan, options)
        self._look_at_nodes(plan, say)
        secret = SecretObject.of(self.kubectl, plan, options, self.value_of)
        changed_in = number if secret.is_new else before.secrets_revision if before else 0
        objects = manifests(plan, options, secrets_revision=changed_in)
        template = template_in(objects)
        rollout = self._rollout(plan, objects, template)
        say(f"Revision {number} of {plan.slug} is on its way.")
        try:
            secret.put()
            self._put(objects, before)
            rollout.wait(say)
        except DeployError as exc:
            said = self._after_failure(rollout, objects, before, secret)
            self._keep(before, plan, "failed", number=number, note=note, template=template)
            raise DeployError(f"Revision {number} of {plan.slug} did not get ready: {exc}.{said}") from exc
        except KeyboardInterrupt:
            say(self._put_back(objects, before, secret))
            raise
        self._keep(
            before,
            plan,
            "ready",
            number=number,
            note=note,
            template=template,
            options=options,
            secrets=changed_in,
        )
        say(f"Revision {number} of {plan.slug} is ready.")
        return next(one for one in self.deployments() if one.slug == plan.slug)

    def logs(self, slug: str, *, lines: int, follow: bool, instance: str | None = None) -> Iterator[str]:
        """The last lines that the instances wrote, and then those that come; with several, each with its pod's name.

        Raises:
            DeployError: there is no such chute or instance.
        """
        name = self._name(slug)
        pods = [pod["metadata"]["name"] for pod in self.kubectl.get("pods", selector=_of(name))]
        if instance is not None and instance not in pods:
            raise DeployError(f"{slug} has no instance '{instance}'. It has {', '.join(pods) or 'none'}.")
        if instance or len(pods) == 1:
            return self.kubectl.logs(pod=instance or pods[0], lines=lines, follow=follow)
        return self.kubectl.logs(selector=_of(name), lines=lines, follow=follow) if pods else iter(())

    def delete(self, slug: str, *, data: bool, say: Say) -> None:
        """End it and forget its revisions; with `data` also its volume.

        Raises:
            DeployError: there is no such chute.
        """
        self._name(slug)
        record = self._records()[slug]
        objects = manifests(record.plan, record.options)
        names = [identity(one) for one in objects if one["kind"] != "PersistentVolumeClaim"]
        names += [f"secret/{secret_name(record.plan)}", f"configmap/{record_name(record.plan)}"]
        claim = f"{object_name(record.plan.username, record.plan.name)}-home"
        self.kubectl.delete([*names, f"persistentvolumeclaim/{claim}"] if data else names)
        kept = (
            "" if data or not volume_claim(record.plan, record.options) else f" Its volume {claim} is kept."
        )
        say(f"Deleted {slug}.{kept}")

    def _records(self) -> dict[str, Record]:
        selector = f"{MANAGED},app.kubernetes.io/component={REVISIONS}"
        records = [Record.of(found) for found in self.kubectl.get("configmaps", selector=selector)]
        return {record.plan.slug: record for record in records}

    def _name(self, slug: str) -> str:
        username, _, name = slug.partition("/")
        if slug not in self._records():
            raise DeployError(f"No chute '{slug}' runs here.")
        return object_name(username, name)

    def _look_at_nodes(self, plan: Plan, say: Say) -> None:
        resources = plan.resources
        asks = resources.gpu_count or resources.cpu or resources.memory_gb
        if not self.check_nodes or not asks or plan.most == 0:
            return
        try:
            nodes = self.kubectl.get("nodes")
        except DeployError as exc:
            say(f"Whether a node has what the chute asks for is not known: {exc}")
            return
        check_nodes(resources, nodes)

    def _rollout(self, plan: Plan, objects: Sequence[dict[str, Any]], template: str) -> Rollout:
        return Rollout(
            kubectl=self.kubectl,
            workloads=workloads_in(objects),
            selector=_of(object_name(plan.username, plan.name)),
            template=template,
            seconds=self.ready_seconds,
            pause=self.pause,
        )

    def _put(self, objects: Sequence[dict[str, Any]], before: Record | None) -> None:
        """Apply objects, and take away what only the former plan had."""
        former = _objects_of(before)
        claims = {
            one["metadata"]["name"] for one in self.kubectl.get("persistentvolumeclaims", selector=MANAGED)
        }
        # What a claim asks for cannot be changed.
        wanted = [
            one
            for one in objects
            if one["kind"] != "PersistentVolumeClaim" or one["metadata"]["name"] not in claims
        ]
        self.kubectl.apply(yaml_text(with_running_replicas(wanted, self.kubectl)))
        self.kubectl.delete(not_in(former, objects))

    def _after_failure(
        self,
        rollout: Rollout,
        objects: Sequence[dict[str, Any]],
        before: Record | None,
        secret: SecretObject,
    ) -> str:
        """Have again what ran before; returns what is to be known of the failure, a line each."""
        try:
            pod = rollout.troubled_pod()
            words = last_words(self.kubectl, pod) if pod else ""
            left = self._put_back(objects, before, secret)
        except DeployError as exc:
            return f"\nWhat ran before could not be put back: {exc}"
        return "".join(f"\n{text}" for text in (words, left) if text)

    def _put_back(
        self, objects: Sequence[dict[str, Any]], before: Record | None, secret: SecretObject
    ) -> str:
        """Have again what ran before; returns a sentence that says so."""
        if before is None:
            self.kubectl.delete([identity(one) for one in objects if one["kind"] != "PersistentVolumeClaim"])
            secret.take_back()
            return "Nothing ran before it, so it was taken away."
        former = _objects_of(before)
        secret.take_back()
        self.kubectl.apply(
            yaml_text(
                with_running_replicas(
                    [one for one in former if one["kind"] != "PersistentVolumeClaim"], self.kubectl
                )
            )
        )
        self.kubectl.delete(not_in(objects, former))
        return f"Revision {before.current} goes on."

    def _keep(
        self,
        before: Record | None,
        plan: Plan,
        outcome: Outcome,
        *,
        number: int,
        note: str,
        template: str,
        options: ManifestOptions | None = None,
        secrets: int = 0,
    ) -> None:
        revision = Revision(
            number=number, plan=plan, created_at=datetime.now(UTC), outcome=outcome, note=note
        )
        if outcome == "failed" and before is None:
            return
        start = before or Record(revisions=(), current=number)
        revisions, templates = start.with_revision(revision, template)
        record = Record(
            revisions=revisions,
            current=number if outcome == "ready" else start.current,
            templates=templates,
            options=options or start.options,
            secrets_revision=secrets if outcome == "ready" else start.secrets_revision,
            url=self._url(plan, options) if options else start.url,
        )
        self.kubectl.apply(yaml_text([record.config_map()]))

    def _url(self, plan: Plan, options: ManifestOptions) -> str | None:
        if options.form == "knative":
            name = object_name(plan.username, plan.name)
            found = self.kubectl.get("services.serving.knative.dev", name=name)
            return found[0].get("status", {}).get("url") if found else None
        if options.host is None:
            return None
        return f"{'https' if options.tls_secret else 'http'}://{options.host}"


def _check_form(plan: Plan, before: Record | None, options: ManifestOptions) -> None:
    """Knative makes a Service of its own under the name of the one that a Deployment has."""
    if before and (before.options.form == "knative") != (options.form == "knative"):
        raise DeployError(
            f"{plan.slug} runs in the form {before.options.form!r}, and cannot become {options.form!r} while it runs: both have "
            f"a Service of one name. End it first: chutes delete {plan.slug} --to kubernetes."
        )


def _of(name: str) -> str:
    return f"{MANAGED},app.kubernetes.io/instance={name}"


def _objects_of(record: Record | None) -> list[dict[str, Any]]:
    if record is None:
        return []
    return manifests(record.plan, record.options, secrets_revision=record.secrets_revision)


def _deployment(record: Record, pods: Sequence[dict[str, Any]]) -> Deployment:
    name = object_name(record.plan.username, record.plan.name)
    own = [pod for pod in pods if chute_of(pod) == name]
    found = [instance(pod, record.numbers, record.current) for pod in own]
    return Deployment(
        revisions=record.revisions,
        current=record.current,
        instances=tuple(sorted(found, key=lambda one: (one.revision, one.name))),
        url=record.url,
    )

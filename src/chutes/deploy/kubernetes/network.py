"""How calls reach a chute, what it may call itself, and who reads its metrics."""

from typing import Any

from chutes.deploy.kubernetes.names import metadata, object_name, selector
from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.plan import Plan

__all__ = ["HTTP_PORT", "ingress", "interceptor_service", "network_policy", "pod_monitor", "service"]

HTTP_PORT = 80
"""The port of the Service."""

_INTERCEPTOR = "keda-add-ons-http-interceptor-proxy.keda.svc.cluster.local"
_INTERCEPTOR_PORT = 8080
_INTERCEPTOR_SUFFIX = "-interceptor"
# Where nodes keep a cache of names, pods ask this address.
_NODE_LOCAL_DNS = "169.254.20.10/32"
# Answers may be streams, and silent for long; how large a body may be is the chute's to say.
_NGINX = {
    "nginx.ingress.kubernetes.io/proxy-body-size": "0",
    "nginx.ingress.kubernetes.io/proxy-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
    "nginx.ingress.kubernetes.io/proxy-send-timeout": "3600",
}


def service(plan: Plan, options: ManifestOptions) -> dict[str, Any]:
    """One address for all instances, inside the cluster."""
    spec = {
        "type": "ClusterIP",
        "selector": selector(plan),
        "ports": [{"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(plan, options), "spec": spec}


def interceptor_service(plan: Plan, options: ManifestOptions) -> dict[str, Any] | None:
    """A name in this namespace for KEDA's proxy, which stands in another: an Ingress reaches none there."""
    if options.host is None:
        return None
    about = metadata(plan, options, suffix=_INTERCEPTOR_SUFFIX)
    spec = {"type": "ExternalName", "externalName": _INTERCEPTOR}
    return {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": spec}


def ingress(plan: Plan, options: ManifestOptions) -> dict[str, Any] | None:
    """The way in from outside, by a host name."""
    if options.host is None:
        return None
    name, port = object_name(plan.username, plan.name), HTTP_PORT
    if options.form == "keda":
        name, port = name + _INTERCEPTOR_SUFFIX, _INTERCEPTOR_PORT
    backend = {"service": {"name": name, "port": {"number": port}}}
    rule = {
        "host": options.host,
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    spec: dict[str, Any] = {"ingressClassName": options.ingress_class} if options.ingress_class else {}
    spec["rules"] = [rule]
    if options.tls_secret:
        spec["tls"] = [{"hosts": [options.host], "secretName": options.tls_secret}]
    about = metadata(plan, options, annotations=dict(_NGINX))
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": about, "spec": spec}


def network_policy(plan: Plan, options: ManifestOptions) -> dict[str, Any] | None:
    """Where `allow_external_egress` is False: names may be asked for, and pods of the same namespace may be called."""
    if plan.egress is not False:
        return None
    system = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    names = {
        "to": [system, {"ipBlock": {"cidr": _NODE_LOCAL_DNS}}],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }
    of_the_chute = {"app.kubernetes.io/instance": object_name(plan.username, plan.name)}
    spec = {
        "podSelector": {"matchLabels": of_the_chute},
        "policyTypes": ["Egress"],
        "egress": [names, {"to": [{"podSelector": {}}]}],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(plan, options),
        "spec": spec,
    }


def pod_monitor(plan: Plan, options: ManifestOptions) -> dict[str, Any] | None:
    """Tells the Prometheus operator of the port that needs no key and answers while code blocks the other."""
    if options.metrics != "podmonitor" or options.form == "knative":
        return None
    of_the_chute = {"app.kubernetes.io/instance": object_name(plan.username, plan.name)}
    spec = {
        "selector": {"matchLabels": of_the_chute},
        "podMetricsEndpoints": [{"port": "probes", "path": "/metrics"}],
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(plan, options),
        "spec": spec,
    }

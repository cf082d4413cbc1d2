"""As much of a Kubernetes API as kubectl needs to apply, get, delete and read logs, with a controller for Deployments."""

import copy
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import yaml

NAMESPACE = "team"
KINDS = {
    "": {
        "configmaps": "ConfigMap",
        "events": "Event",
        "nodes": "Node",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "pods": "Pod",
        "secrets": "Secret",
        "services": "Service",
    },
    "apps": {"deployments": "Deployment"},
    "autoscaling": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "networking.k8s.io": {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"},
    "policy": {"poddisruptionbudgets": "PodDisruptionBudget"},
}
VERSIONS = {"autoscaling": "v2"}
OF_THE_CLUSTER = {"nodes"}


def version_of(group):
    return VERSIONS.get(group, "v1")


class Cluster:
    """The objects, by their plural and name, and what becomes of new pods."""

    def __init__(self):
        self.objects = {}
        self.lines = {}
        self.broken = False
        self.lock = threading.RLock()
        self._made = 0

    def names(self, plural):
        return sorted(name for kind, name in self.objects if kind == plural)

    def put(self, plural, one):
        """Keep an object, and do what controllers would."""
        with self.lock:
            before = self.objects.get((plural, one["metadata"]["name"]))
            metadata = one["metadata"] | {"namespace": NAMESPACE, "uid": one["metadata"]["name"]}
            metadata["generation"] = before["metadata"]["generation"] + 1 if before else 1
            kept = one | {"metadata": metadata}
            self.objects[plural, metadata["name"]] = kept
            if plural == "deployments":
                self._run(kept)
            return kept

    def remove(self, plural, name):
        with self.lock:
            found = self.objects.pop((plural, name), None)
            if plural == "deployments":
                for pod in self._pods(name):
                    del self.objects["pods", pod["metadata"]["name"]]
            return found

    def _pods(self, deployment):
        return [
            one
            for (plural, _), one in self.objects.items()
            if plural == "pods" and one["metadata"]["ownerReferences"][0]["name"] == deployment
        ]

    def _run(self, deployment):
        """Replace pods of another template; new ones get ready at once, or never when the cluster is broken."""
        name, spec = deployment["metadata"]["name"], deployment["spec"]
        wanted, template = spec.get("replicas", 1), spec["template"]["metadata"]
        pods = self._pods(name)
        good = [pod for pod in pods if pod["metadata"]["annotations"] == template["annotations"]]
        good = [pod for pod in good if ready(pod)]
        while len(good) < wanted:
            good.append(self._start(name, template))
            if self.broken:
                break
        available = sum(ready(pod) for pod in good[:wanted])
        if available >= wanted:
            for pod in pods:
                if pod not in good[:wanted]:
                    self.objects.pop(("pods", pod["metadata"]["name"]), None)
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(self._pods(name)),
            "updatedReplicas": len(good[:wanted]),
            "availableReplicas": available,
        }

    def _start(self, deployment, template):
        self._made += 1
        name = f"{deployment}-{self._made}"
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
        container = {
            "ready": not self.broken,
            "restartCount": 3 if self.broken else 0,
            "state": {"running": {}},
        }
        if self.broken:
            container |= {"state": waiting, "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": copy.deepcopy(template)
            | {"name": name, "namespace": NAMESPACE, "ownerReferences": [{"name": deployment}]},
            "spec": {"nodeName": "node-1", "containers": [{"name": "chute"}]},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "False" if self.broken else "True"}],
                "containerStatuses": [container],
            },
        }
        self.objects["pods", name] = pod
        return pod


def ready(pod):
    return pod["status"]["conditions"][0]["status"] == "True"


class KubernetesApi:
    """The cluster behind a port of this machine."""

    def __init__(self):
        self.cluster = cluster = Cluster()
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.answer(outer.get(self.path))

            def do_PATCH(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.requests.append((self.command, self.path, body))
                plural, name = place(urlsplit(self.path).path)
                self.answer((200, cluster.put(plural, yaml.safe_load(body))))
                assert name

            def do_DELETE(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.command, self.path, ""))
                plural, name = place(urlsplit(self.path).path)
                found = cluster.remove(plural, name)
                self.answer((200, found) if found else missing(plural, name))

            def answer(self, result):
                status, value = result
                body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
                self.send_response(status)
                kind = "text/plain" if isinstance(value, str) else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_error):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def configuration(self):
        """What kubectl reads of how to reach it."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}}],
            "users": [{"name": "u", "user": {}}],
            "current-context": "c",
        }

    def get(self, address):
        url = urlsplit(address)
        found = discovery(url.path)
        if found is not None:
            return 200, found
        if url.path.endswith("/log"):
            return self._log(url.path.split("/")[-2], parse_qs(url.query))
        spot = place(url.path)
        if spot is None:
            return missing("paths", url.path)
        plural, name = spot
        with self.cluster.lock:
            if name:
                one = self.cluster.objects.get((plural, name))
                return (200, copy.deepcopy(one)) if one else missing(plural, name)
            wanted = dict(
                pair.split("=")
                for pair in ",".join(parse_qs(url.query).get("labelSelector", [])).split(",")
                if pair
            )
            items = [
                copy.deepcopy(one)
                for (kind, _), one in sorted(self.cluster.objects.items())
                if kind == plural and wanted.items() <= one["metadata"].get("labels", {}).items()
            ]
        group, kind = next((group, kinds[plural]) for group, kinds in KINDS.items() if plural in kinds)
        version = f"{group}/{version_of(group)}" if group else "v1"
        return 200, {"apiVersion": version, "kind": f"{kind}List", "metadata": {}, "items": items}

    def _log(self, pod, query):
        lines = self.cluster.lines.get(pod, self.cluster.lines.get("*", []))
        most = int(query.get("tailLines", ["1000"])[0])
        return 200, "".join(f"{line}\n" for line in lines[-most:])


def discovery(path):
    """What the API says of itself, None for any other path."""
    if path == "/version":
        return {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [
            {
                "name": group,
                "versions": [{"groupVersion": f"{group}/{version_of(group)}", "version": version_of(group)}],
                "preferredVersion": {
                    "groupVersion": f"{group}/{version_of(group)}",
                    "version": version_of(group),
                },
            }
            for group in KINDS
            if group
        ]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    for group, kinds in KINDS.items():
        root = f"/apis/{group}/{version_of(group)}" if group else "/api/v1"
        if path == root:
            resources = [
                {
                    "name": plural,
                    "singularName": kind.lower(),
                    "kind": kind,
                    "namespaced": plural not in OF_THE_CLUSTER,
                    "verbs": ["get", "list", "patch", "delete", "create"],
                }
                for plural, kind in kinds.items()
            ]
            version = f"{group}/{version_of(group)}" if group else "v1"
            return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
    if path == "/openapi/v3":
        return {"paths": {name: {"serverRelativeURL": f"/openapi/v3/{name}"} for name in openapi_paths()}}
    if path.startswith("/openapi/v3/"):
        return openapi_of(path.removeprefix("/openapi/v3/"))
    return None


def openapi_paths():
    return [f"apis/{group}/{version_of(group)}" if group else "api/v1" for group in KINDS]


def openapi_of(root):
    """Says that every kind can be patched with the fields checked, which kubectl asks for."""
    group = root.split("/")[1] if root.startswith("apis/") else ""
    paths = {}
    for plural, kind in KINDS.get(group, {}).items():
        identity = {"group": group, "version": version_of(group), "kind": kind}
        parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
        patch = {"parameters": parameters, "x-kubernetes-group-version-kind": identity, "responses": {}}
        paths[f"/{root}/namespaces/{{namespace}}/{plural}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.0"}, "paths": paths}


def place(path):
    """The plural and the name that a path leads to."""
    found = re.fullmatch(r"/(?:api/v1|apis/[^/]+/[^/]+)/(?:namespaces/[^/]+/)?([^/]+)(?:/([^/]+))?", path)
    return (found[1], found[2]) if found else None


def missing(plural, name):
    return 404, {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "NotFound",
        "code": 404,
        "message": f'{plural} "{name}" not found',
        "details": {"name": name, "kind": plural},
    }

"""Chutes on Kubernetes: manifests from a plan, and the cluster that kubectl reaches."""

from chutes.deploy.kubernetes.cluster import KubernetesPlatform
from chutes.deploy.kubernetes.kubectl import Kubectl, find_kubectl
from chutes.deploy.kubernetes.manifests import manifests
from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.kubernetes.yaml_text import yaml_text

__all__ = ["Kubectl", "KubernetesPlatform", "ManifestOptions", "find_kubectl", "manifests", "yaml_text"]

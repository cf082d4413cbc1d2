"""Chutes on a Ray cluster: one Serve application each, sent over the dashboard's HTTP API."""

from chutes.deploy.ray.platform import RayPlatform

__all__ = ["RayPlatform"]

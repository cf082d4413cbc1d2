"""Chutes on a Ray cluster: one Serve application each, sent over the dashboard's HTTP API."""

from chutes.deploy.ray.ray_platform import RayPlatform

__all__ = ["RayPlatform"]

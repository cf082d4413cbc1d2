"""From an image to something that runs: one plan, and the platforms that it can be given to."""

from chutes.deploy.deployment import Deployment, Instance, Revision
from chutes.deploy.plan import Plan, Resources, Secret, make_plan
from chutes.deploy.platforms import Platform

__all__ = ["Deployment", "Instance", "Plan", "Platform", "Resources", "Revision", "Secret", "make_plan"]

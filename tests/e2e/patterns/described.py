"""Every value that a chute may be constructed with."""

from chutes.chute import Chute, NodeSelector
from chutes.image import Image

MANUAL = """
# Haiku writer

Send a subject to `/haiku`, and get *three lines*.
"""

chute = Chute(
    username="poets",
    name="haiku",
    image=Image(username="poets", name="haiku", tag="0.3"),
    tagline="Writes three lines about anything",
    readme=MANUAL,
    standard_template=None,
    revision="rev-7",
    node_selector=NodeSelector(gpu_count=2, min_vram_gb_per_gpu=24, include=["h100", "a100"], exclude=["t4"]),
    concurrency=6,
    title="Haiku API",
    version="7.1",
    openapi_tags=[{"name": "poems", "description": "What it is for"}],
)


@chute.cord("/facts", method="GET")
async def facts(self) -> dict:
    """What the chute knows of itself."""
    config = self.config
    return {
        "owner": config.username,
        "name": config.name,
        "slots": config.concurrency,
        "gpus": config.node_selector.gpu_count,
        "image": config.image.tag,
    }

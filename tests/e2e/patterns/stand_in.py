"""Models that need no weights."""

import asyncio


class Echo:
    """Says back what it hears; "explode" makes it fail, as a model may."""

    def __init__(self):
        self.loaded = False
        self.batches = []

    async def load(self):
        await asyncio.sleep(0)
        self.loaded = True

    async def answer(self, text, *, words=100):
        if text == "explode":
            raise RuntimeError("weights at /secret/place are broken")
        return " ".join(["echo:", *text.split()][: words + 1])

    async def answer_many(self, texts):
        self.batches.append(len(texts))
        await asyncio.sleep(0.05)
        return [f"echo: {text}" for text in texts]

    async def tokens(self, text):
        for word in text.split():
            await asyncio.sleep(0.01)
            yield word


class Painter:
    """Paints one picture, the smallest PNG there is."""

    async def load(self):
        self.picture = bytes.fromhex(
            "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
            "0000000a4944415478da6360000000020001e527defc0000000049454e44ae426082"
        )

    async def paint(self, wish):
        return self.picture


class Measure:
    """Embeds a text as its number of characters and of words."""

    async def load(self):
        await asyncio.sleep(0)

    async def embed(self, text):
        return [float(len(text)), float(len(text.split()))]

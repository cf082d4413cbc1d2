"""Split a text file into paragraphs that are short enough to be searched one by one."""

import re
import textwrap

__all__ = ["split_paragraphs"]


def split_paragraphs(text: str, longest: int = 1000) -> list[str]:
    """Return the paragraphs of a plain or Markdown text, cut between words into `longest` characters at most.

    A Markdown heading stays with the paragraph under it: alone it says too little to be found.
    """
    paragraphs: list[str] = []
    heading = ""
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        words = " ".join(block.split())
        if not words:
            continue
        if re.fullmatch(r"#{1,6} .+", words) and "\n" not in block.strip():
            heading = f"{heading}{words.lstrip('#').strip()}: "
            continue
        paragraphs += textwrap.wrap(heading + words, longest)
        heading = ""
    if heading:
        paragraphs += textwrap.wrap(heading.removesuffix(": "), longest)
    return paragraphs

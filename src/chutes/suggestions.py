"""The sentence 'Did you mean …?' that ends an error about an unknown name."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return " Did you mean 'gpu_count'?" for the candidate nearest to `word`, "" when none is near.

    The sentence starts with a space, so that it can follow any message. Case does not count.
    """
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    nearest = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return f" Did you mean {by_folded[nearest[0]]!r}?" if nearest else ""

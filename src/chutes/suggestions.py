"""The sentence 'Did you mean …?' that ends an error about an unknown name."""

from collections.abc import Iterable

__all__ = ["did_you_mean"]


_SHORTEST_START = 3


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return " Did you mean 'gpu_count'?" for the candidate nearest to `word`, "" when none is near.

    The sentence starts with a space, so that it can follow any message. Case does not count. When no candidate is spelt
    alike, one that begins with the word and goes on behind a `_` is near too: 'run' for 'run_local'.
    """
    import difflib

    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    folded = word.casefold()
    nearest = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    if not nearest and len(folded) >= _SHORTEST_START:
        nearest = [candidate for candidate in by_folded if candidate.startswith(f"{folded}_")]
    return f" Did you mean {by_folded[nearest[0]]!r}?" if nearest else ""

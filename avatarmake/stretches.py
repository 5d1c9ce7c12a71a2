"""Numbers in runs: what is said of many frames in few words."""

from collections.abc import Iterable

SAID = 4  # stretches that are named; the others are counted


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending numbers -> (first, last) of each run without a gap."""
    found: list[tuple[int, int]] = []
    for n in numbers:
        if found and n == found[-1][1] + 1:
            found[-1] = found[-1][0], n
        else:
            found.append((n, n))
    return found


def words(numbers: Iterable[int]) -> str:
    """'3, 17-40, 51-60': the longest few runs, in order, and how many more."""
    found = runs(numbers)
    longest = sorted(sorted(found, key=lambda r: r[0] - r[1])[:SAID])
    said = ", ".join(f"{a}-{b}" if b > a else str(a) for a, b in longest)
    return said + (f" and {len(found) - SAID} more" if len(found) > SAID else "")

"""A random order that belongs to the data and the seed, not to a random number generator.

Every image and box draws its own number from a hash of the seed and its identity. The order of the
input file, the platform and the library versions can't change it, and adding an image leaves the
ranks of all others as they were.
"""

from hashlib import blake2b

_RANK_BYTES = 8


def stable_rank(seed: int, *identity: str | int) -> int:
    """Return a number from 0 to 2**64 - 1, uniform over seeds and identities.

    Args:
        seed: The split's seed.
        identity: What is ranked: an image's file name, or a box's file name and id.
    """
    # NUL can't occur in a file name, so two identities never run into the same text.
    text = "\0".join(str(part) for part in (seed, *identity))
    return int.from_bytes(blake2b(text.encode(), digest_size=_RANK_BYTES).digest(), "big")

"""Seeds, and random numbers that depend only on the seed and the data.

Each image and box gets its own number from a hash of the seed and its identity. The order of the
input file, the platform and library versions can't change it, and adding an image leaves the
numbers of all others unchanged. numpy is imported only where arrays are created.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from sparsedet.errors import ConfigError

if TYPE_CHECKING:
    from sparsedet.annotations.table import RankArray

MAX_SEED = 2**32 - 1
"""The largest seed. Trainings multiply theirs, and torch takes 64 bits."""

_RANK_BYTES = 8


def check_seed(seed: int) -> None:
    """Check the seed of a training.

    Raises:
        ConfigError: when it is negative, or too large.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"seed {seed}: expected 0 to {MAX_SEED}")


def stable_rank(seed: int, *identity: str | int) -> int:
    """Return a number from 0 to 2**64 - 1, uniform over seeds and identities.

    Args:
        seed: The seed of a split, simulation, ...
        identity: The item to rank: an image's file name, or a box's file name and id.
    """
    return int.from_bytes(_digest(_text(seed, *identity)), "big")


def image_ranks(seed: int, names: Sequence[str]) -> "RankArray":
    """Return the ranks of images by their file names; shape (I,)."""
    return _join([_digest(_text(seed, name)) for name in names])


def box_ranks(
    seed: int, names: Sequence[str], owners: Sequence[int], ids: Sequence[int]
) -> "RankArray":
    """Return the ranks of boxes by the file names of their images and by their ids.

    Args:
        seed: The split's seed.
        names: File names of the images.
        owners: For each of N boxes the row of its image in `names`.
        ids: The ids of the N boxes.
    """
    heads = [_text(seed, name, "") for name in names]
    return _join(
        [_digest(b"%b%d" % (heads[owner], id)) for owner, id in zip(owners, ids, strict=True)]
    )


def remixed(ranks: "RankArray") -> "RankArray":
    """Return ranks that are statistically independent of the given ones: SplitMix64's finaliser.

    Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    import numpy as np

    mixed = ranks + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _text(*identity: str | int) -> bytes:
    # File names can't contain NUL, so no two identities become the same text.
    return "\0".join(map(str, identity)).encode()


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=_RANK_BYTES).digest()


def _join(digests: Iterable[bytes]) -> "RankArray":
    import numpy as np

    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)

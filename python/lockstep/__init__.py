"""Lockstep from Python: trained models, tokenizers, metrics, data sets and training, by the shared library.

    >>> import lockstep
    >>> model = lockstep.load("runs/shakespeare-gpt")
    >>> model.logits(model.tokenizer.encode("ROMEO:")).shape
    (1, 6, 65)
    >>> print(model.generate("ROMEO:", tokens=100, temperature=0.8, seed=1))

Failures are exceptions (LockstepError) with the program's message, and its exit status as `status`. Importing starts no
MPI and no threads, and leaves signals and the locale alone.
"""

from ._library import (
    CheckpointError,
    DataError,
    DivergedError,
    LaunchError,
    LockstepError,
    ResourceError,
    UsageError,
    call as _call,
)
from .data import describe, prepare, seal, write_dataset
from .metrics import metrics
from .model import Model, load
from .tokenizer import Tokenizer
from .training import Trainer

__version__: str = _call("ls_version").decode()


def threads() -> int:
    """Threads that the library computes with."""
    return _call("ls_threads")


def set_threads(count: int) -> None:
    """As OMP_NUM_THREADS, which overrides what the library chooses by itself: call it after the first load."""
    if count < 1:
        raise UsageError("at least one thread is needed", 2)
    _call("ls_set_threads", count)


__all__ = [
    "CheckpointError",
    "DataError",
    "DivergedError",
    "LaunchError",
    "LockstepError",
    "Model",
    "ResourceError",
    "Tokenizer",
    "Trainer",
    "UsageError",
    "describe",
    "load",
    "metrics",
    "prepare",
    "seal",
    "set_threads",
    "threads",
    "write_dataset",
]

"""A training, step by step."""

import ctypes
import json
import os
import sys
import tempfile
import traceback
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Union

from ._library import LaunchError, LockstepError, UsageError, call, settings, texts

Path = Union[str, "os.PathLike[str]"]
Row = Dict[str, Any]


def _check_script() -> None:
    """A launcher gives standard input to one process alone: a script that is read from it ends on the others before it
    begins, for which the first would wait."""
    ranks = os.environ.get("OMPI_COMM_WORLD_SIZE") or os.environ.get("PMI_SIZE") or "1"
    if sys.argv[0:1] in (["-"], [""]) and ranks.isdigit() and int(ranks) > 1 and not hasattr(sys, "ps1"):
        raise LaunchError(
            f"the script is read from standard input, which one of the {ranks} processes alone has: save it as a file, "
            f"and start mpirun -np {ranks} python FILE.py",
            6,
        )


class Trainer:
    """A training from a job file, or from a dict of its sections; `overrides` stand over both::

        with lockstep.Trainer("jobs/shakespeare-gpt.yaml", {"train.steps": 200}) as trainer:
            for row in trainer:
                print(row["step"], row["loss"])
                if row["loss"] < 1.5:
                    trainer.stop()
            trainer.save("model.h5")

    A row has the names of metrics.jsonl, and ``validation_loss`` where the job has it evaluated. Nothing is written but
    by :meth:`save`: no run folder. Ctrl-C raises KeyboardInterrupt between two steps. Started by ``mpirun -np N
    python``, the N processes train together; all of them call the same methods in the same order (:meth:`save`, too:
    rank 0 alone writes), and have the same rows to decide by. One that calls another method than the rest raises
    UsageError in each. An exception that leaves the ``with`` of one of them ends them all.
    """

    def __init__(self, job: Union[Path, Mapping[str, Any]], overrides: Optional[Mapping[str, Any]] = None) -> None:
        self._handle: Optional[ctypes.c_void_p] = None
        self._stopped = False
        _check_script()
        handle, lines = ctypes.c_void_p(), settings(overrides or {}, members=True)
        with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
            if isinstance(job, Mapping):  # JSON is YAML
                dotted = [name for name in job if "." in name]
                if dotted:
                    raise UsageError(
                        f"a job has sections: {{{dotted[0].split('.')[0]!r}: {{...}}}}; {dotted[0]!r} stands over it in "
                        "the second argument",
                        2,
                    )
                name = os.path.join(folder, "job.yaml")
                with open(name, "w", encoding="utf-8") as file:
                    json.dump(job, file, ensure_ascii=False)
            else:
                name = os.fspath(job)
            call("ls_session_open", None, None, os.fsencode(name), len(lines), texts(lines), ctypes.byref(handle))
        self._handle = handle
        ranks = ctypes.c_int()
        #: of this process, from 0; and how many train together
        self.rank: int = call("ls_session_rank", handle, ctypes.byref(ranks))
        self.ranks: int = ranks.value

    def _open(self) -> ctypes.c_void_p:
        if not self._handle:
            raise UsageError("the training is closed", 2)
        return self._handle

    def step(self) -> Optional[Row]:
        """One step, with the evaluation that is due after it; its row, or None where train.steps are done. A step whose
        loss or gradient is not finite raises DivergedError."""
        more, row = ctypes.c_bool(), ctypes.c_char_p()
        call("ls_session_advance", self._open(), ctypes.byref(more), ctypes.byref(row))
        return json.loads(row.value) if more.value and row.value else None

    def __iter__(self) -> Iterator[Row]:
        self._stopped = False
        while not self._stopped:
            row = self.step()
            if row is None:
                return
            yield row

    def run(self, callback: Optional[Callable[["Trainer", Row], Optional[bool]]] = None) -> Optional[Row]:
        """All steps that are left. ``callback(trainer, row)`` is called after each; the training ends where it returns
        False. The last row."""
        last = None
        for last in self:
            if callback is not None and callback(self, last) is False:
                break
        return last

    def stop(self) -> None:
        """Ends the loop over the trainer after this step; a new one goes on."""
        self._stopped = True

    def evaluate(self) -> float:
        """Mean loss over train.evaluate_batches batches of the validation data (0: all of it)."""
        loss = ctypes.c_double()
        call("ls_session_evaluate", self._open(), ctypes.byref(loss))
        return loss.value

    def save(self, path: Path) -> None:
        """A checkpoint, as `lockstep train` writes them: for load(), eval, generate, and to go on from."""
        call("ls_session_save", self._open(), os.fsencode(path))

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint of the same job, exactly."""
        call("ls_session_load", self._open(), os.fsencode(path))

    @property
    def steps(self) -> int:
        """Steps done."""
        return call("ls_session_steps", self._open())

    def close(self) -> None:
        """Frees its memory; under mpirun it ends MPI."""
        if self._handle:
            call("ls_session_close", self._handle)
            self._handle = None

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self.ranks > 1 and error is not None and not isinstance(error, LockstepError):
            # The other processes wait for this one in a step, and closing waits for them; the library's own errors all
            # of them have. A process that ends without MPI's end is one whose job the launcher ends.
            if isinstance(error, SystemExit) and error.code in (None, 0):
                self.close()
                return
            if not isinstance(error, SystemExit):
                traceback.print_exception(kind, error, trace)
            elif not isinstance(error.code, int):
                print(error.code, file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1)
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) and self.ranks == 1:
            self.close()

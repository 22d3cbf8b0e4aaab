"""What the peers' scripts have in common: how bench/compare talks with them.

A peer gets its work as one JSON object on the command line, makes itself ready (model, optimiser, compilation, warm-up steps), writes one
JSON line {"ready": true, ...}, and then waits. Every line "N" on its standard input asks for N steps; the answer is one JSON line with the
seconds of each. So several programs can be ready at once and be timed in turn, while the others sleep.
"""
import json
import os
import resource
import sys
import time


def work():
    """The work asked for: {"model": {...}, "batch": B, "sequence": T, "precision": "float"|"bfloat16", "threads": N, ...}."""
    asked = json.loads(sys.argv[1])
    os.environ.setdefault("OMP_NUM_THREADS", str(asked.get("threads", os.cpu_count())))
    return asked


def resident_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def say(**fields):
    print(json.dumps(fields), flush=True)


def serve(step, warmup, **about):
    """Does `warmup` steps, then those that are asked for. `step()` does one and returns its loss (or None) when all work is done."""
    start = time.perf_counter()
    for _ in range(warmup):
        step()
    say(ready=True, warmup_seconds=time.perf_counter() - start, **about)
    loss = None
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            loss = step()
            seconds.append(time.perf_counter() - start)
        say(seconds=seconds, loss=loss, resident_bytes=resident_bytes())

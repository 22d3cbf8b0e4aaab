"""Peer: a step's dense products alone, as PyTorch's libraries do them: {"products": {"shapes": [...]}} as `lockstep bench --products --json`
lists them. A step's seconds are the sum over shapes of the best call's, times the calls, as ours are measured; those that a step runs on one
thread, while the others have products of their own, cost it their share. Results are in the operands' type and bias is not added."""
import sys
import time

import peer

asked = peer.work()

import torch  # noqa: E402  (after the threads are set)

SECONDS, TRIES = 0.1, 3


def matrix(rows, columns, transposed, kind):
    """Numbers between nought and one, (rows, columns); the memory of its transpose where the product reads it so."""
    x = torch.rand(columns if transposed else rows, rows if transposed else columns).to(kind)
    return x.t() if transposed else x


def best_call(s):
    kind = torch.bfloat16 if s["bfloat16"] else torch.float32
    a, b = matrix(s["m"], s["k"], s["transpose_a"], kind), matrix(s["k"], s["n"], s["transpose_b"], kind)
    c = torch.zeros(s["m"], s["n"], dtype=kind)
    torch.set_num_threads(1 if s["one_thread"] else asked["threads"])
    best, end, tries = float("inf"), time.perf_counter() + SECONDS, 0
    while tries < TRIES or time.perf_counter() < end:
        start = time.perf_counter()
        if s["accumulate"]:
            c.addmm_(a, b)
        else:
            torch.mm(a, b, out=c)
        best = min(best, time.perf_counter() - start)
        tries += 1
    return best / asked["threads"] if s["one_thread"] else best


def all_products():
    return sum(best_call(s) * s["calls"] for s in asked["products"]["shapes"])


peer.say(ready=True, name="PyTorch " + torch.__version__.split("+")[0], precision=asked["precision"])
for line in sys.stdin:
    peer.say(seconds=[all_products() for _ in range(int(line))], resident_bytes=peer.resident_bytes())

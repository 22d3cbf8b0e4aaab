"""Peer: a GPT's training step in PyTorch. {"compile": true} compiles the model."""
import peer

asked = peer.work()

import torch  # noqa: E402  (after the threads are set)

from gpt_module import GPT  # noqa: E402
from torch_training import count, optimizer_of, step_of  # noqa: E402

torch.set_num_threads(asked["threads"])
torch.manual_seed(1)
m = asked["model"]
model = GPT(m["layers"], m["heads"], m["width"], m["vocabulary"], asked["sequence"] if m.get("context", 0) == 0 else m["context"])
called = torch.compile(model) if asked.get("compile") else model
shape = (asked["batch"], asked["sequence"])
ids, targets = (torch.randint(0, m["vocabulary"], shape) for _ in range(2))
step = step_of(model, optimizer_of(model), lambda: called(ids, targets), asked["precision"] == "bfloat16")
name = "PyTorch %s%s" % (torch.__version__.split("+")[0], " compiled" if asked.get("compile") else "")
peer.serve(step, asked["warmup"], name=name, precision=asked["precision"], parameters=count(model))

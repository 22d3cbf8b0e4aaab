"""Peer: a Mamba's training step by mamba.py (PyTorch, parallel scan). {"path": FOLDER} says where the package mambapy lies."""
import sys

import peer

asked = peer.work()
if asked.get("path"):
    sys.path.insert(0, asked["path"])

import torch  # noqa: E402
from mambapy.lm import LM  # noqa: E402
from mambapy.mamba import MambaConfig  # noqa: E402
from torch.nn import functional  # noqa: E402

from torch_training import count, optimizer_of, step_of  # noqa: E402

torch.set_num_threads(asked["threads"])
torch.manual_seed(1)
m = asked["model"]
model = LM(MambaConfig(d_model=m["width"], n_layers=m["layers"], d_state=m.get("state", 16), pscan=True), m["vocabulary"])
model.lm_head.weight = model.embedding.weight  # tied, as in the other programs
shape = (asked["batch"], asked["sequence"])
ids, targets = (torch.randint(0, m["vocabulary"], shape) for _ in range(2))


def loss():
    logits = model(ids)
    return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


step = step_of(model, optimizer_of(model), loss, asked["precision"] == "bfloat16")
peer.serve(step, asked["warmup"], name="mamba.py (PyTorch %s)" % torch.__version__.split("+")[0], precision=asked["precision"],
           parameters=count(model))

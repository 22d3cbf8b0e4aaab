"""Peer: trains the small character model on a text, batches drawn at random, the learning rate warmed up and then along half a cosine.
{"kind": "gpt" | "mamba", "text": FILE, "path": folder of mambapy}. A step here is a step of that training."""
import math
import sys

import peer

asked = peer.work()
if asked.get("path"):
    sys.path.insert(0, asked["path"])

import torch  # noqa: E402

from torch_training import count, optimizer_of, step_of  # noqa: E402

torch.set_num_threads(asked["threads"])
torch.manual_seed(1)
with open(asked["text"], encoding="utf-8") as file:
    text = file.read()
letters = sorted(set(text))
number = {letter: i for i, letter in enumerate(letters)}
tokens = torch.tensor([number[letter] for letter in text[: int(0.9 * len(text))]])
m, batch, sequence = asked["model"], asked["batch"], asked["sequence"]
if asked["kind"] == "gpt":
    from gpt_module import GPT

    model = GPT(m["layers"], m["heads"], m["width"], len(letters), sequence)
    loss_of = model
    name = "PyTorch %s" % torch.__version__.split("+")[0]
else:
    from mambapy.lm import LM
    from mambapy.mamba import MambaConfig

    model = LM(MambaConfig(d_model=m["width"], n_layers=m["layers"], pscan=True), len(letters))
    model.lm_head.weight = model.embedding.weight
    name = "mamba.py (PyTorch %s)" % torch.__version__.split("+")[0]

    def loss_of(ids, targets):
        return torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())


if asked.get("compile"):
    loss_of = torch.compile(loss_of)
    name += " compiled"
optimizer = optimizer_of(model, 1e-3, (0.9, 0.99))
done = 0


def batch_loss():
    first = torch.randint(len(tokens) - sequence - 1, (batch,))
    rows = tokens[first[:, None] + torch.arange(sequence + 1)]
    return loss_of(rows[:, :-1], rows[:, 1:])


inner = step_of(model, optimizer, batch_loss, asked["precision"] == "bfloat16")


def step():
    global done
    steps, warm = asked["steps"], 100
    rate = 1e-3 * (done + 1) / warm if done < warm else 1e-4 + 4.5e-4 * (1 + math.cos(math.pi * (done - warm) / max(1, steps - warm)))
    for group in optimizer.param_groups:
        group["lr"] = rate
    done += 1
    return inner()


peer.serve(step, asked["warmup"], name=name, precision=asked["precision"], parameters=count(model))

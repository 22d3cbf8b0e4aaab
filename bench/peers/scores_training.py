"""What the peers of bench/scores have in common. Each gets {"settings": {section: {setting: value}}, "threads": N}, all settings of our run, as
one JSON object on the command line; trains on the same data set; and writes one JSON line {"seed", "steps", "parameters", "metrics"}, the
metrics by the names that `lockstep eval --json` gives them."""
import json
import math

import peer

asked = peer.work()

import h5py  # noqa: E402  (after the threads are set)
import numpy  # noqa: E402
import torch  # noqa: E402
from torch.nn.utils.rnn import pad_sequence  # noqa: E402

from torch_training import count, groups_of, step_of  # noqa: E402

settings = asked["settings"]
recipe = settings["train"]
IGNORE = -100  # a target that does not count
WINDOW = 64  # batches whose samples are sorted by length together

torch.set_num_threads(asked["threads"])
torch.manual_seed(recipe["seed"])


def assume(section, **values):
    """Ends where the recipe has something that the peer does not do."""
    for name, value in values.items():
        if settings[section][name] != value:
            raise SystemExit("%s.%s is %s; this peer knows %s alone" % (section, name, settings[section][name], value))


def data_set():
    """The run's data set, and what it says of itself."""
    file = h5py.File(settings["data"]["path"])
    return file, json.loads(bytes(file["info"][:]).decode()) if "info" in file else {}


def texts(file, name):
    """An array of texts: a list of ids each."""
    ids, offsets = file[name][:].astype(numpy.int64), file[name + "_offsets"][:]
    return [ids[first:end].tolist() for first, end in zip(offsets, offsets[1:])]


def padded(rows, filler):
    """(B, T), T that of the longest row."""
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=filler)


def batches(samples, length):
    """Endless numbers of samples, a batch at a time, each sample once an epoch. With train.length_step the samples of a batch are about as
    long as each other (src/data/sample_source.c): a window of 64 batches is sorted by length, and its batches come in an order of their own."""
    batch, rest = recipe["batch"], []
    while True:
        epoch = rest + torch.randperm(samples).tolist()
        whole = len(epoch) // batch * batch
        rest = epoch[whole:]
        for first in range(0, whole, WINDOW * batch):
            window = epoch[first : min(first + WINDOW * batch, whole)]
            order = range(len(window) // batch)
            if recipe.get("length_step"):
                window.sort(key=length)
                order = torch.randperm(len(order)).tolist()
            for i in order:
                yield window[i * batch : (i + 1) * batch]


def rate(step):
    """The learning rate of step 1, 2, ... (src/train/schedule.c)."""
    top, low, warmup, steps = (recipe[name] for name in ("learning_rate", "min_learning_rate", "warmup", "steps"))
    if step <= warmup:
        return top * step / warmup
    share = (step - warmup) / (steps - warmup)
    kinds = {"constant": top, "linear": top + (low - top) * share, "cosine": low + (top - low) * (1 + math.cos(math.pi * share)) / 2,
             "inverse_sqrt": max(low, top * math.sqrt(max(warmup, 1) / step))}
    if recipe["schedule"] not in kinds:
        raise SystemExit("train.schedule is %s; the peers know %s" % (recipe["schedule"], ", ".join(kinds)))
    return kinds[recipe["schedule"]]


def optimizer_of(model):
    groups = groups_of(model, recipe["weight_decay"])
    if recipe["optimizer"] == "sgd":
        return torch.optim.SGD(groups, recipe["learning_rate"], recipe["momentum"], fused=True)
    assume("train", optimizer="adamw")
    return torch.optim.AdamW(groups, recipe["learning_rate"], (recipe["beta1"], recipe["beta2"]), recipe["epsilon"], fused=True)


def train(model, loss_of, evaluate=None):
    """train.steps steps. evaluate(): after every train.evaluate_every of them and the last one, the model in evaluation."""
    assume("train", precision="float", no_decay=None, scale=None, average=0, skip_outliers=0)
    optimizer, steps, every = optimizer_of(model), recipe["steps"], recipe["evaluate_every"]
    do_step = step_of(model, optimizer, loss_of, False, recipe["clip"])
    model.train()
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        do_step()
        if evaluate and (step == steps or (every > 0 and step % every == 0)):
            model.eval()
            with torch.no_grad():
                evaluate()
            model.train()


def finish(model, metrics):
    peer.say(seed=recipe["seed"], steps=recipe["steps"], parameters=count(model), metrics=metrics)

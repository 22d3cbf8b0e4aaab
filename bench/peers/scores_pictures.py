"""Peer of bench/scores: a ResNet on small pictures, moved and mirrored at random, convolutions drawn as ours (He et al. 2015, by outputs)."""
import math

from scores_training import assume, batches, data_set, finish, settings, train

import torch
from torch import nn
from torch.nn import functional

from resnet_module import ResNet

AT_ONCE = 250
m, data = settings["model"], settings["data"]


def read(split):
    """Pixels (N, C, H, W) and labels (N)."""
    return torch.from_numpy(file[split + "/pixels"][:]).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(file[split + "/labels"][:]).long()


def scaled(pixels):
    mean, deviation = (torch.tensor(info[name])[:, None, None] for name in ("mean", "deviation"))
    return ((pixels - mean) / deviation).contiguous(memory_format=torch.channels_last)


def moved(pixels):
    """Each picture moved by up to `crop` pixels each way, what is moved in being black, and every second one by chance mirrored."""
    (count, _, height, width), crop = pixels.shape, data["crop"]
    rows = torch.arange(height) + torch.randint(2 * crop + 1, (count, 1))
    columns = torch.arange(width).expand(count, width)
    if data["mirror"]:
        columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    columns = columns + torch.randint(2 * crop + 1, (count, 1))
    framed = functional.pad(pixels, (crop, crop, crop, crop)).permute(0, 2, 3, 1)
    return framed[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def loss_of(numbers):
    return functional.cross_entropy(model(scaled(moved(pixels[numbers]))), labels[numbers])


def evaluate():
    right = loss = 0
    for x, y in zip(test[0].split(AT_ONCE), test[1].split(AT_ONCE)):
        logits = model(scaled(x))
        right += int((logits.argmax(-1) == y).sum())
        loss += functional.cross_entropy(logits, y, reduction="sum").item()
    metrics.update(accuracy=right / len(test[1]), loss=loss / len(test[1]))


assume("model", kind="resnet")
assume("task", label_smoothing=0)
assume("data", scaling="standard")
file, info = data_set()
(pixels, labels), test = read("train"), read("test")
model, metrics = ResNet(m["stages"], m["blocks"], m["width"], pixels.shape[1], len(info["classes"])).to(memory_format=torch.channels_last), {}
for part in model.modules():
    if isinstance(part, nn.Conv2d):
        nn.init.normal_(part.weight, std=math.sqrt(2 / (part.kernel_size[0] ** 2 * part.out_channels)))
order = batches(len(labels), None)
train(model, lambda: loss_of(next(order)), evaluate)
finish(model, metrics)

#!/usr/bin/env python3
"""The rows of a run for Weights & Biases, without a network: python3 examples/wandb_offline.py runs/NAME [PROJECT]
It writes wandb/offline-run-*, which `wandb sync` sends from wherever there is a network. Needs: pip install wandb"""
import json
import os
import pathlib
import sys

os.environ["WANDB_MODE"] = "offline"
import wandb

run = pathlib.Path(sys.argv[1])
settings, section = {}, ""
for line in (run / "config.yaml").read_text().splitlines():  # two levels, one setting a line
    name, _, value = line.partition(":")
    section = section if line.startswith(" ") else name
    if line.startswith(" "):
        settings[f"{section}.{name.strip()}"] = value.strip()
project = sys.argv[2] if len(sys.argv) > 2 else "lockstep"
with wandb.init(project=project, name=run.name, config=settings, dir=".") as logged:
    for line in (run / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        for i, text in enumerate(row.pop("samples", [])):
            row[f"sample_{i + 1}"] = wandb.Html(f"<pre>{text}</pre>") if "<" not in text else text
        logged.log(row, step=row.pop("step"))

"""The trainings that bench/scores compares: one entry a row.

A row is a job file of jobs/ with the settings that it is trained with here, the data that it reads (setting: file below --data), the arguments
of `lockstep eval`, and the metrics that are compared. Its peer is a script of bench/peers, which needs these modules.
"""

TORCH = ["torch", "h5py", "numpy"]


def metric(name, title, digits, scale=1):
    return {"name": name, "title": title, "digits": digits, "scale": scale}


def translation(model, steps, job, *settings):
    return {"name": "translation-" + model, "job": job, "peer": "scores_translation.py", "modules": TORCH, "data": {"data.path": "tatoeba.h5"},
            "settings": ["model.width=128", "train.steps=%d" % steps, "train.evaluate_every=0", "output.save_every=0"] + list(settings),
            "evaluate": ["--beams", "1", "task.label_smoothing=0"],
            "metrics": [metric("perplexity", "perplexity", 2), metric("bleu", "BLEU, greedy", 2)]}


def characters(cell):
    return {"name": "characters-" + cell, "job": "shakespeare-%s.yaml" % cell, "peer": "scores_characters.py", "modules": TORCH,
            "title": "%s, 2 layers of 256, characters of tiny Shakespeare" % cell.upper(), "data": {"data.path": "shakespeare.h5"},
            "settings": ["model.tied=false", "train.steps=980", "train.learning_rate=3e-3", "train.min_learning_rate=0", "train.warmup=0",
                         "train.weight_decay=0", "train.beta2=0.999", "train.evaluate_every=0", "output.save_every=0"],
            "evaluate": [], "metrics": [metric("loss", "loss of the validation part, nats", 4)]}


ROWS = [
    dict(translation("transformer", 1000, "tatoeba-transformer.yaml", "model.layers=2", "model.hidden=512"),
         title="Transformer 2 x 128, French to English"),
    dict(translation("gru", 1500, "tatoeba-seq2seq.yaml", "model.attention=additive", "train.length_step=0"),
         title="GRU 128 with additive attention, French to English"),
    dict(translation("lstm", 600, "tatoeba-seq2seq.yaml", "model.cell=lstm", "model.attention=multiplicative", "train.warmup=100"),
         title="LSTM 128 with multiplicative attention, French to English"),
    {"name": "tagging", "title": "two-way LSTM 128 on MiniLM's word vectors, WNUT-2017", "job": "wnut17-bilstm.yaml",
     "peer": "scores_tagging.py", "modules": TORCH + ["safetensors"], "data": {"data.path": "wnut17-pieces.h5", "train.init": "minilm"},
     "settings": [], "evaluate": ["--split", "test", "--best"],
     "metrics": [metric("f1", "F1 of spans of the test part, %, of the best checkpoint", 2, 100)]},
    {"name": "fine-tuning", "title": "MiniLM fine-tuned, rt-polarity", "job": "rt-polarity-bert.yaml", "peer": "scores_tuning.py",
     "modules": TORCH + ["transformers"], "data": {"data.path": "rt-polarity-bert.h5", "train.init": "minilm"},
     "settings": ["train.steps=150", "train.warmup=15", "train.evaluate_every=0", "output.save_every=0"], "evaluate": [],
     "metrics": [metric("accuracy", "accuracy of the validation part, %", 2, 100), metric("loss", "its loss, nats", 4)]},
    {"name": "pictures", "title": "ResNet-20, Fashion-MNIST", "job": "fashion-resnet20.yaml", "peer": "scores_pictures.py", "modules": TORCH,
     "data": {"data.path": "fashion-mnist.h5"}, "settings": ["train.steps=500", "train.evaluate_every=0", "output.save_every=0"],
     "evaluate": ["--split", "test"], "metrics": [metric("accuracy", "accuracy of the test part, %", 2, 100), metric("loss", "its loss, nats", 4)]},
    characters("lstm"),
    characters("gru"),
]

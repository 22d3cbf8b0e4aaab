"""The work that bench/compare measures: one entry a row of the table."""

GPT2 = {"kind": "gpt", "layers": 12, "heads": 12, "width": 768, "vocabulary": 50257}
GPT_SMALL = {"kind": "gpt", "layers": 6, "heads": 6, "width": 384, "vocabulary": 65}
MAMBA_SMALL = {"kind": "mamba", "layers": 6, "width": 384, "state": 16, "vocabulary": 65}
MAMBA_130M = {"kind": "mamba", "layers": 24, "width": 768, "state": 16, "vocabulary": 50257}
LLAMA = {"kind": "llama", "layers": 30, "heads": 9, "kv_heads": 3, "width": 576, "hidden": 1536, "vocabulary": 49152, "tied": "true"}
SHAKESPEARE_GPT = {"kind": "gpt", "layers": 4, "heads": 4, "width": 128}
SHAKESPEARE_MAMBA = {"kind": "mamba", "layers": 4, "width": 128}


def torch_gpt(precision, steps, compiled=False):
    return {"script": "torch_gpt.py", "precision": precision, "compile": compiled, "steps": steps, "warmup": 2}


def torch_llama(precision, steps):
    return {"script": "torch_llama.py", "precision": precision, "steps": steps, "warmup": 2}


def jax_mamba(precision, steps):
    return {"script": "jax_mamba.py", "precision": precision, "steps": steps, "warmup": 1}


def mamba_py(precision, steps):
    return {"script": "torch_mamba.py", "precision": precision, "steps": steps, "warmup": 1}


def torch_systems(steps, **more):
    return dict({"script": "torch_systems.py", "precision": "float", "steps": steps, "warmup": 3}, **more)


def recurrent(cell):
    return {"kind": "rnn", "cell": cell, "layers": 2, "width": 512, "vocabulary": 65}


def rwkv_loop(steps):
    return {"script": "torch_rwkv.py", "precision": "float", "steps": steps, "warmup": 1}


TRAINING = [
    {"name": "gpt2-124m", "title": "GPT-2 124M, 4 x 256", "model": GPT2, "batch": 4, "sequence": 256, "ours": {"float": 3, "bfloat16": 4},
     "peers": [torch_gpt("float", 2), torch_gpt("bfloat16", 3), torch_gpt("bfloat16", 3, True)]},
    {"name": "gpt-6x384", "title": "GPT 6 x 384, 16 x 256", "model": GPT_SMALL, "batch": 16, "sequence": 256, "ours": {"float": 5, "bfloat16": 6},
     "peers": [torch_gpt("float", 3), torch_gpt("bfloat16", 4), torch_gpt("bfloat16", 4, True)]},
    {"name": "llama-135m", "title": "Llama 30 x 576 (SmolLM2 135M), 4 x 256", "model": LLAMA, "batch": 4, "sequence": 256,
     "ours": {"float": 3, "bfloat16": 4}, "peers": [torch_llama("float", 2), torch_llama("bfloat16", 3)]},
    {"name": "mamba-6x384", "title": "Mamba 6 x 384, 16 x 256", "model": MAMBA_SMALL, "batch": 16, "sequence": 256,
     "ours": {"float": 5, "bfloat16": 6}, "peers": [jax_mamba("float", 1), jax_mamba("bfloat16", 1), mamba_py("float", 1)]},
    {"name": "mamba-long", "title": "Mamba 6 x 384, 1 x 4,096", "model": MAMBA_SMALL, "batch": 1, "sequence": 4096,
     "ours": {"float": 5, "bfloat16": 6}, "peers": [jax_mamba("float", 1), mamba_py("float", 1)]},
    {"name": "mamba-130m", "title": "Mamba 130M, 1 x 512", "model": MAMBA_130M, "batch": 1, "sequence": 512, "ours": {"float": 3, "bfloat16": 4},
     "peers": [jax_mamba("float", 1), mamba_py("float", 1)]},
    {"name": "lenet", "title": "LeNet-5, 256 pictures", "model": {"kind": "lenet"}, "task": {"kind": "classification"}, "batch": 256, "products": False,
     "ours": {"float": 30}, "peers": [torch_systems(20)]},
    {"name": "resnet18", "title": "ResNet-18, 32 pictures of 32 x 32", "model": {"kind": "resnet", "stages": 4, "blocks": 2, "width": 64},
     "task": {"kind": "classification"}, "batch": 32, "products": False, "ours": {"float": 4},
     "peers": [torch_systems(3), torch_systems(3, channels_last=True)]},
    {"name": "lstm", "title": "LSTM 2 x 512, 32 x 128", "model": recurrent("lstm"), "batch": 32, "sequence": 128, "products": False,
     "ours": {"float": 5}, "peers": [torch_systems(4)]},
    {"name": "gru", "title": "GRU 2 x 512, 32 x 128", "model": recurrent("gru"), "batch": 32, "sequence": 128, "products": False,
     "ours": {"float": 5}, "peers": [torch_systems(4)]},
    {"name": "transformer", "title": "Transformer 3 x 256, 64 pairs of 24 and 24 tokens", "batch": 64, "sequence": 24, "products": False,
     "model": {"kind": "transformer", "layers": 3, "heads": 4, "width": 256, "hidden": 512}, "task": {"kind": "pairs", "label_smoothing": 0.1},
     "fields": "source T of 10000, source_length int, ids T of 10000, length int, targets T of 10000",
     "ours": {"float": 5}, "peers": [torch_systems(4, vocabulary=10000)]},
    {"name": "rwkv4", "title": "RWKV-4 6 x 384, 4 x 256", "model": {"kind": "rwkv4", "layers": 6, "width": 384, "vocabulary": 65}, "batch": 4,
     "sequence": 256, "products": False, "ours": {"float": 5}, "peers": [rwkv_loop(2)]},
    {"name": "rwkv7", "title": "RWKV-7 6 x 384, 4 x 256", "model": {"kind": "rwkv7", "layers": 6, "width": 384, "vocabulary": 65}, "batch": 4,
     "sequence": 256, "products": False, "ours": {"float": 5}, "peers": [rwkv_loop(2)]},
]

SHAKESPEARE = [
    {"name": "shakespeare-gpt", "title": "Shakespeare GPT, 2,000 steps", "job": "shakespeare-gpt.yaml", "model": SHAKESPEARE_GPT, "batch": 12,
     "sequence": 64, "steps": 2000, "precisions": ["float", "bfloat16"], "peers": [{"script": "torch_shakespeare.py", "precision": "float"}]},
    {"name": "shakespeare-mamba", "title": "Shakespeare Mamba, 2,000 steps", "job": "shakespeare-mamba.yaml", "model": SHAKESPEARE_MAMBA,
     "batch": 12, "sequence": 64, "steps": 2000, "precisions": ["float", "bfloat16"],
     "peers": [{"script": "torch_shakespeare.py", "precision": "float"}]},
]

GENERATION = [
    {"name": "generate-gpt", "title": "GPT-2 124M, tokens one by one", "model": dict(GPT2, context=1024), "tokens": 128, "prompt": 16,
     "peers": [{"script": "torch_generate.py", "precision": "float"}, {"script": "torch_generate.py", "precision": "bfloat16"}]},
    {"name": "generate-mamba", "title": "Mamba 130M, tokens one by one", "model": dict(MAMBA_130M, context=1024), "tokens": 128, "prompt": 16,
     "peers": [{"script": "torch_generate.py", "precision": "float"}]},
]

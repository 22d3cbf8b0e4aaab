"""Peer of bench/scores: a trained BERT encoder of transformers, fine-tuned to classify sentences. Dropout is of hidden states alone, and the
head is drawn as ours, which is PyTorch's linear layer's own way."""
from scores_training import assume, batches, data_set, finish, padded, recipe, settings, texts, train

import torch
import transformers
from torch.nn import functional

AT_ONCE = 32
m = settings["model"]


def classifier(classes):
    assume("model", kind="bert", pool="first", position="learned")
    assume("task", label_smoothing=0)
    assume("train", freeze=None)
    model = transformers.BertForSequenceClassification.from_pretrained(
        recipe["init"], num_labels=classes, hidden_dropout_prob=m["dropout"], attention_probs_dropout_prob=0.0, classifier_dropout=0.0,
        attn_implementation="sdpa")
    model.classifier.reset_parameters()
    return model


def read(split):
    """Framed sentences: ids and the class of each."""
    begin, end = (info["tokenizer"]["vocabulary"].index(info["tokenizer"][name]) for name in ("begin", "end"))
    most = m["context"] - 2
    return [([begin] + row[:most] + [end], label) for row, label in zip(texts(file, split + "/ids"), file[split + "/labels"][:].tolist())]


def logits_and_labels(sentences):
    rows = [ids for ids, _ in sentences]
    mask = padded([[1] * len(row) for row in rows], 0)
    return model(input_ids=padded(rows, 0), attention_mask=mask).logits, torch.tensor([label for _, label in sentences])


def evaluate():
    right = loss = 0
    for at in range(0, len(held_out), AT_ONCE):
        logits, labels = logits_and_labels(held_out[at : at + AT_ONCE])
        right += int((logits.argmax(-1) == labels).sum())
        loss += functional.cross_entropy(logits, labels, reduction="sum").item()
    metrics.update(accuracy=right / len(held_out), loss=loss / len(held_out))


file, info = data_set()
sentences, held_out = read("train"), read("validation")
model, metrics = classifier(len(info["classes"])), {}
order = batches(len(sentences), lambda i: len(sentences[i][0]))
train(model, lambda: functional.cross_entropy(*logits_and_labels([sentences[i] for i in next(order)])), evaluate)
finish(model, metrics)

"""The Python package beside the program, in a folder with text.txt, text.h5, job.yaml and run (tests/python.sh)."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import unittest

before = {number: signal.getsignal(number) for number in signal.valid_signals()}
import numpy as np

import lockstep

PROGRAM = sys.argv.pop(1)
SMALL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "small_bpe")


def read(path):
    with open(path, "rb") as file:
        return file.read()


TEXT = read("text.txt").decode()
TIMES = {"tokens_per_second", "seconds", "share_of_peak", "communication_seconds"}


def program(*arguments, status=0):
    """What the program prints."""
    done = subprocess.run([PROGRAM, *arguments], capture_output=True)
    assert done.returncode == status, done.stderr.decode()
    return done.stdout


def lasting(row):
    """What depends on data and configuration alone."""
    return {name: value for name, value in row.items() if name not in TIMES}


def program_rows(run):
    with open(f"{run}/metrics.jsonl") as file:
        return [lasting(json.loads(line)) for line in file]


class Loading(unittest.TestCase):
    def test_installed_with_its_library(self):
        self.assertIn("environment", lockstep.__file__)
        self.assertTrue(os.path.exists(os.path.join(os.path.dirname(lockstep.__file__), "liblockstep.so")))
        self.assertTrue(os.path.exists(os.path.join(os.path.dirname(lockstep.__file__), "py.typed")))
        self.assertIn(lockstep.__version__, program("--version").decode())

    def test_signals_and_threads_stay(self):
        self.assertEqual(before, {number: signal.getsignal(number) for number in signal.valid_signals()})
        self.assertEqual(threading.active_count(), 1)


class Models(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = lockstep.load("run")

    def test_description(self):
        self.assertEqual(self.model.info["step"], 12)
        self.assertEqual(self.model.info["inputs"], ["ids"])
        self.assertEqual([field["name"] for field in self.model.info["fields"]], ["ids", "targets"])

    def test_logits_are_those_of_predict(self):
        ids = self.model.tokenizer.encode("A model is a short builder")
        program("predict", "run", "--ids", ",".join(map(str, ids)), "-o", "logits.h5")
        with self.assertRaisesRegex(lockstep.UsageError, r"ids, not a text: model.logits\(model.tokenizer.encode"):
            self.model.logits("a text")
        logits = self.model.logits(ids)
        self.assertEqual(logits.shape, (1, len(ids), self.model.tokenizer.vocabulary))
        self.assertEqual(logits.dtype, np.float32)
        self.assertIn(logits.tobytes(), read("logits.h5"))
        rows = self.model.logits(np.stack([ids, ids[::-1]]))
        np.testing.assert_allclose(rows[0], logits[0], rtol=1e-5, atol=1e-6)

    def test_loss_is_that_of_eval(self):
        said = json.loads(program("eval", "run", "--batches", "3", "--json"))
        held_out = self.model.tokenizer.encode(TEXT.encode()[-lockstep.describe("text.h5")["validation_bytes"] :])
        steps, rows = 32, 4
        losses = []
        for batch in range(3):
            starts = [(batch * rows + row) * steps for row in range(rows)]
            ids = np.stack([held_out[start : start + steps] for start in starts])
            targets = np.stack([held_out[start + 1 : start + steps + 1] for start in starts])
            losses.append(self.model.loss(ids, targets))
        self.assertAlmostEqual(np.mean(losses), said["loss"], delta=1e-6)
        # targets of -1 do not count: the mean is over the others
        targets[:, ::2] = -1
        logits = self.model.logits(ids).astype(np.float64)
        lines = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        wanted = -np.take_along_axis(lines, np.maximum(targets, 0)[..., None], -1)[..., 0][targets >= 0].mean()
        self.assertAlmostEqual(self.model.loss(ids, targets), wanted, delta=1e-5)

    def test_generation_is_that_of_the_program(self):
        options = ["--tokens", "40", "--seed", "4", "--temperature", "0.9", "--top-k", "20"]
        said = program("generate", "run", "--prompt", "The graph", *options).decode()
        settings = dict(tokens=40, seed=4, temperature=0.9, top_k=20)
        self.assertEqual(self.model.generate("The graph", **settings) + "\n", said)
        ids = self.model.generate(self.model.tokenizer.encode("The graph"), **settings)
        self.assertEqual("The graph" + self.model.tokenizer.decode(ids) + "\n", said)
        both = self.model.generate("The graph", batch=2, **settings)
        self.assertEqual(both[0] + "\n", said)
        self.assertNotEqual(both[0], both[1])
        for precision in ("float", "bfloat16", "int8"):
            said = program("generate", "run", "--prompt", "The", *options, "--precision", precision).decode()
            self.assertEqual(self.model.generate("The", precision=precision, **settings) + "\n", said)

    def test_generation_stops_as_the_program(self):
        options = ["--tokens", "60", "--seed", "4", "--temperature", "0.9", "--top-k", "20"]
        settings = dict(tokens=60, seed=4, temperature=0.9, top_k=20)
        whole = self.model.generate("The graph", **settings)
        stop = whole[-20:-17]
        for stops in ([stop], ["not there", whole[15:17], stop], [stop + " and more that never comes"]):
            given = [word for text in stops for word in ("--stop", text)]
            said = program("generate", "run", "--prompt", "The graph", *given, *options).decode()
            self.assertEqual(self.model.generate("The graph", stop=stops, **settings) + "\n", said)
            self.assertEqual(said[:-1] == whole, len(stops[0]) > 10)
        cut = self.model.generate("The graph", stop=stop, **settings)
        self.assertEqual(cut, "The graph" + whole[len("The graph") :].split(stop)[0])
        both = self.model.generate("The graph", stop=(stop,), batch=2, **settings)
        self.assertEqual(both[0], cut)
        self.assertEqual(len(self.model.generate("The graph", stop=[], no_stop=True, **settings)), len("The graph") + 60)
        for wrong in (True, False, 3, b"x", ["a", 1], {"a": 1}):
            with self.assertRaisesRegex(TypeError, "stop is a text, or a list of them.*no_stop=True"):
                self.model.generate("The", stop=wrong)
        for wrong in ("false", 1, None):
            with self.assertRaisesRegex(TypeError, "no_stop is True or False"):
                self.model.generate("The", no_stop=wrong)
            with self.assertRaisesRegex(TypeError, "best is True or False"):
                lockstep.load("run", best=wrong)
        with self.assertRaisesRegex(lockstep.UsageError, "a stop is empty"):
            self.model.generate("The", stop="")
        with self.assertRaisesRegex(lockstep.UsageError, "stop is a text, and ids are continued by ids"):
            self.model.generate([1, 2], stop="a")

    def test_the_token_that_ends_a_text_is_no_part_of_it(self):
        lockstep.prepare("text", [b"the text of a cat " * 40], "ends.h5", tokenizer="gpt2", vocabulary=SMALL, validation=0.1)
        job = {"model": {"kind": "gpt", "layers": 1, "width": 8, "heads": 1, "context": 8}, "data": {"path": "ends.h5"}}
        with lockstep.Trainer(job, {"train.steps": 1, "train.batch": 2, "train.warmup": 0}) as trainer:
            next(iter(trainer))
            trainer.save("ends-model.h5")
        how = dict(tokens=9000, temperature=1e6)
        with lockstep.load("ends-model.h5") as model:
            ids = model.generate(model.tokenizer.encode("the", prompt=True), **how)
            self.assertTrue(len(ids) < 9000 and model.tokenizer.ends(ids[-1]) and not model.tokenizer.ends(ids[0]))
            self.assertEqual(model.generate("the", **how), "the" + model.tokenizer.decode(ids[:-1], after=True))
            # one stream ends at a stop, the other at its end token
            first, second = (text[len("the") :] for text in model.generate("the", batch=2, **how))
            stop = next(word for word in re.findall("[ -~]{3,}", first) if word not in second)
            made = model.generate("the", batch=2, stop=stop, **how)
            self.assertEqual(made, ["the" + first.split(stop)[0], "the" + second])

    def test_generation_calls_back(self):
        seen = []
        self.model.generate([1, 2], tokens=9, callback=lambda stream, index, token: seen.append(token) or index < 4)
        self.assertEqual(len(seen), 5)

        def fails(stream, index, token):
            raise KeyError("mine")

        with self.assertRaises(KeyError):
            self.model.generate([1, 2], callback=fails)

    def test_tokenizer(self):
        tokenizer = self.model.tokenizer
        self.assertEqual(tokenizer.kind, "characters")
        self.assertEqual(tokenizer.decode(tokenizer.encode(TEXT)), TEXT)
        again = lockstep.Tokenizer(tokenizer.to_json())
        np.testing.assert_array_equal(again.encode(TEXT), tokenizer.encode(TEXT))
        self.assertIsNone(tokenizer.end)
        self.assertEqual(len(tokenizer.encode("")), 0)
        with self.assertRaisesRegex(lockstep.DataError, "\N{SNOWMAN}|2603|vocabulary"):
            tokenizer.encode("\N{SNOWMAN}")

    def test_parameters(self):
        parameters = self.model.parameters()
        self.assertGreater(len(parameters), 10)
        data = read(self.model.info["checkpoint"])
        for value in parameters.values():
            self.assertIn(value.tobytes(), data)

    def test_failures_are_exceptions(self):
        with self.assertRaisesRegex(lockstep.UsageError, "no option 'tokeniser'; did you mean 'tokenizer'"):
            lockstep.prepare("text", "text.txt", "none.h5", tokeniser="bytes")
        with self.assertRaisesRegex(lockstep.CheckpointError, "no-such-run: there is no such run") as caught:
            lockstep.load("no-such-run")
        self.assertEqual(caught.exception.status, 4)
        vocabulary = self.model.tokenizer.vocabulary
        for ids in ([vocabulary], [-1]):
            with self.assertRaisesRegex(lockstep.UsageError, "outside 0 to"):
                self.model.logits(ids)
        with self.assertRaisesRegex(lockstep.UsageError, "outside -1 to"):
            self.model.loss([1], [vocabulary])
        with self.assertRaisesRegex(lockstep.UsageError, "fields ids"):
            self.model.predict(pixels=[1])
        with self.assertRaisesRegex(lockstep.UsageError, "shape"):
            self.model.loss([1, 2], [1])
        with self.assertRaisesRegex(lockstep.UsageError, "context"):
            self.model.logits(np.ones(33, dtype=int))
        for none in (np.array([1.5, 2.0]), ["a", "b"], [True]):
            with self.assertRaisesRegex(lockstep.UsageError, "ids are whole numbers"):
                self.model.logits(none)
            with self.assertRaisesRegex(lockstep.UsageError, "ids are whole numbers"):
                self.model.generate(none)
        with self.assertRaisesRegex(lockstep.UsageError, "32 bits"):
            self.model.logits([2**40])
        with self.assertRaisesRegex(lockstep.UsageError, "zero character"):
            self.model.generate("the", stop="a\0b")
        with self.assertRaisesRegex(lockstep.DataError, "text.encode"):
            lockstep.prepare("text", "hello world", "none.h5")
        with self.assertRaisesRegex(lockstep.UsageError, "precision"):
            self.model.generate([1], precision="int4")
        with self.assertRaisesRegex(lockstep.UsageError, "steps"):
            lockstep.load("run", overrides={"train.stepz": 3})

    def test_closed(self):
        with lockstep.load("run", best=True) as model:
            model.logits([1])
        with self.assertRaisesRegex(lockstep.UsageError, "closed"):
            model.logits([1])


class Training(unittest.TestCase):
    def test_rows_are_those_of_the_program(self):
        with lockstep.Trainer("job.yaml") as trainer:
            rows = [lasting(row) for row in trainer]
            self.assertEqual(rows, program_rows("run"))
            self.assertIsNone(trainer.step())
            self.assertEqual((trainer.steps, trainer.rank, trainer.ranks), (12, 0, 1))
            trainer.save("saved.h5")
        # parameters and moments too
        self.assertIn(b"are equal", program("diff", "run/checkpoints/step-00000012.h5", "saved.h5"))

    def test_stop_and_go_on(self):
        with lockstep.Trainer("job.yaml") as trainer:
            for row in trainer:
                if row["step"] == 3:
                    trainer.stop()
            self.assertEqual(trainer.steps, 3)
            last = trainer.run(lambda it, row: row["step"] < 7)
            self.assertEqual(last["step"], 7)
            trainer.save("seven.h5")
        with lockstep.Trainer("job.yaml") as trainer:
            trainer.load("seven.h5")
            self.assertEqual([lasting(row) for row in trainer], program_rows("run")[7:])

    def test_job_of_a_dict(self):
        job = {
            "model": {"kind": "gpt", "layers": 2, "width": 32, "heads": 2, "context": 32, "dropout": 0.1},
            "data": {"path": "text.h5"},
            "train": {"steps": 2, "batch": 4, "evaluate_every": 5, "evaluate_batches": 3, "seed": 3, "warmup": 2},
        }
        with lockstep.Trainer(job, {"train.steps": 12}) as trainer, lockstep.Trainer(job) as other:
            other.run()
            self.assertEqual(lasting(trainer.step()), program_rows("run")[0])
            self.assertEqual(other.steps, 2)
            self.assertAlmostEqual(trainer.evaluate(), trainer.evaluate())

    def test_mistakes_are_told_at_once(self):
        with self.assertRaisesRegex(lockstep.UsageError, "(?s)stepz.*widht|widht.*stepz"):
            lockstep.Trainer({"model": {"kind": "gpt", "widht": 3}, "train": {"stepz": 1}})
        with self.assertRaisesRegex(lockstep.UsageError, "'train.steps' stands over it in the second argument"):
            lockstep.Trainer({"model": {"kind": "gpt"}, "train.steps": 1})
        with self.assertRaises(lockstep.DivergedError):
            lockstep.Trainer("job.yaml", {"train.learning_rate": 1e6, "train.clip": 0, "train.warmup": 0}).run()

    def test_metrics_with_samples(self):
        with open("spoken.jsonl", "w") as file:
            file.write('{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 2.25, "samples": ["a", "b"]}\n')
        table = lockstep.metrics("spoken.jsonl")
        self.assertEqual(list(table), ["step", "loss"])
        self.assertEqual(table["loss"].tolist(), [2.5, 2.25])

    def test_metrics(self):
        table = lockstep.metrics("run")
        np.testing.assert_array_equal(table["step"], np.arange(1, 13))
        self.assertEqual(table["step"].dtype, np.int64)
        self.assertEqual(list(table["loss"]), [row["loss"] for row in program_rows("run")])
        self.assertEqual(list(np.flatnonzero(~np.isnan(table["validation_loss"]))), [4, 9, 11])
        with self.assertRaises(lockstep.DataError):
            lockstep.metrics("text.txt")


class Data(unittest.TestCase):
    def test_text_from_memory_and_by_tokens(self):
        """Three ways to the same data set, as far as a training can see."""
        made = lockstep.prepare("text", TEXT.encode(), "like.h5", like="run", validation=0)
        self.assertEqual(made["vocabulary"], lockstep.load("run").tokenizer.vocabulary)
        made = lockstep.prepare("text", TEXT.encode(), "memory.h5", tokenizer="characters", validation=0.1)
        self.assertEqual(made["train_tokens"], lockstep.describe("text.h5")["train_tokens"])
        self.assertEqual(made["sources"], "memory")
        both = lockstep.prepare("text", ["text.txt", TEXT.encode()], "both.h5", validation=0)
        self.assertEqual(both["sources"], "text.txt\nmemory")
        tokenizer = lockstep.load("run").tokenizer
        ids, train = tokenizer.encode(TEXT).astype(np.uint8), made["train_tokens"]
        arrays = {"train/tokens": ids[:train], "validation/tokens": ids[train:], "tokenizer": tokenizer.to_json()}
        attributes = {name: made[name] for name in ("tokenizer", "vocabulary", "train_bytes", "validation_bytes")}
        attributes["sources"] = "memory"
        lockstep.write_dataset("written.h5", "text", arrays, attributes)
        self.assertIn(b"train tokens", program("inspect", "written.h5"))
        for path in ("memory.h5", "written.h5"):
            with lockstep.Trainer("job.yaml", {"data.path": path}) as trainer:
                self.assertEqual([lasting(row) for row in trainer], program_rows("run"))
        program("train", "job.yaml", "data.path=written.h5", "output.path=run-written", "--progress", "none")
        self.assertEqual(program_rows("run-written"), program_rows("run"))
        # what a reader refuses is not written
        for change, message in (
            ({"train/tokens": np.full(100, 255, np.uint8)}, r"bad.h5: train/tokens\[0\] is 255, outside"),
            ({"tokenizer": "{}"}, "tokenizer"),
            ({"train/tokens": ids[:train].astype(np.float64)}, "float64"),
        ):
            with self.assertRaisesRegex(lockstep.LockstepError, message):
                lockstep.write_dataset("bad.h5", "text", {**arrays, **change}, attributes)
            self.assertFalse([name for name in os.listdir() if name.startswith("bad.h5")])
        with self.assertRaisesRegex(lockstep.DataError, "train_bytes"):
            lockstep.write_dataset("bad.h5", "text", arrays, {"tokenizer": "x", "vocabulary": tokenizer.vocabulary})

    def test_what_a_writer_forgot_is_said_at_once(self):
        for kind, parts in (
            ("text", "attributes: tokenizer, vocabulary, train_bytes, validation_bytes, sources; arrays: tokenizer, train/tokens"),
            ("images", "arrays: info, preparation, train/pixels, train/labels; members of the JSON in /info: height, width, channels, classes"),
            ("lines", "train/ids, train/ids_offsets, train/labels; members of the JSON in /info: classes, tokenizer"),
            ("columns", "train/ids, train/ids_offsets, train/tags; members of the JSON in /info: classes, tokenizer"),
            ("pairs", "train/source, train/source_offsets, train/target, train/target_offsets; .*: source_tokenizer, tokenizer"),
            ("chat", "train/ids, train/ids_offsets, train/answers; members of the JSON in /info: tokenizer"),
            ("series", "arrays: info, preparation, values; members of the JSON in /info: columns, target, window, horizon, train_rows"),
        ):
            with self.assertRaisesRegex(lockstep.DataError, f"kind {kind} has more in it .docs/data.md.*missing are .*{parts}"):
                lockstep.write_dataset("bad.h5", kind, {})
        # what is there is not asked for, and a split that begins is to be whole
        arrays = {"info": {"classes": ["a"], "tokenizer": {"kind": "bytes"}}, "preparation": {}, "test/ids": np.zeros(3, np.uint8)}
        with self.assertRaisesRegex(lockstep.DataError, "missing are arrays: test/ids_offsets, test/labels$"):
            lockstep.write_dataset("bad.h5", "lines", arrays)
        arrays = {name: value for name, value in arrays.items() if name != "test/ids"}
        arrays.update({"train/ids": np.arange(3, dtype=np.uint8), "train/ids_offsets": np.array([0, 1, 3]), "train/labels": np.zeros(2, np.uint8)})
        lockstep.write_dataset("whole.h5", "lines", arrays)
        self.assertEqual(lockstep.describe("whole.h5")["train_samples"], 2)
        attributes = {"tokenizer": "bytes", "vocabulary": 256, "train_bytes": 9, "validation_bytes": 0, "sources": "mine"}
        with self.assertRaisesRegex(lockstep.DataError, r"the tokenizer is 'bytes', but is to be its JSON, an object: {\"kind\": \"bytes\"}"):
            lockstep.write_dataset("bad.h5", "text", {"train/tokens": np.zeros(9, np.uint8), "tokenizer": "bytes"}, attributes)

    def test_the_example_of_the_docs(self):
        docs = read(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "python.md")).decode()
        block = [block for block in docs.split("```") if block.startswith("python") and "train/tokens" in block and "import" in block]
        self.assertEqual(len(block), 1)
        exec(block[0][len("python") :], {})
        self.assertEqual(lockstep.describe("tokens.h5")["validation_tokens"], 200)
        with lockstep.Trainer("job.yaml", {"data.path": "tokens.h5", "train.steps": 1}) as trainer:
            trainer.run()

    def test_pictures_and_predictions(self):
        draw = np.random.default_rng(1)
        labels = draw.integers(0, 3, 60).astype(np.uint8)
        pixels = (draw.integers(0, 90, (60, 6, 6)) + 60 * labels[:, None, None]).astype(np.uint8)
        made = lockstep.prepare("images", [pixels, labels], "pictures.h5", validation=0)
        self.assertEqual((made["train_samples"], made["validation_samples"], made["classes"]), (60, 0, 3))
        job = {
            "model": {"kind": "mlp", "layers": 1, "width": 8},
            "task": {"kind": "classification"},
            "data": {"kind": "images", "path": "pictures.h5"},
            "train": {"steps": 20, "batch": 12, "learning_rate": 0.01},
        }
        with lockstep.Trainer(job) as trainer:
            trainer.run()
            trainer.save("pictures-model.h5")
        model = lockstep.load("pictures-model.h5")
        self.assertEqual(model.info["inputs"], ["pixels"])
        program("predict", "pictures-model.h5", "--input", "pictures.h5", "--split", "held-out", "--text", "-o", "said.tsv")
        said = [line.split("\t") for line in read("said.tsv").decode().splitlines()]
        info = model.info["info"]
        scores = model.predict(pixels=(pixels[..., None] - np.array(info["mean"])) / np.array(info["deviation"]))
        self.assertEqual(scores.shape, (60, 3))
        chances = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        columns = [said[0].index(name) for name in info["classes"]]
        wanted = np.array([[float(row[column]) for column in columns] for row in said[1:]])
        np.testing.assert_allclose(chances, wanted, atol=2e-4)
        loss = model.loss(pixels=(pixels[:1, ..., None] - np.array(info["mean"])) / np.array(info["deviation"]), label=labels[:1])
        self.assertAlmostEqual(loss, -np.log(chances[0, labels[0]]), delta=1e-5)
        with self.assertRaisesRegex(lockstep.UsageError, "goes? on with a text|does not go on"):
            model.generate([1])

    def test_arrays_of_text_are_its_bytes(self):
        data = np.frombuffer(TEXT.encode()[:2000], np.uint8)
        made = lockstep.prepare("text", [data], "array.h5", tokenizer="bytes", validation=0)
        self.assertEqual((made["train_tokens"], made["train_bytes"]), (2000, 2000))
        self.assertIn(data.tobytes(), read("array.h5"))
        table = np.frombuffer(b"good\tit works\nbad\tit does not\n", np.uint8)
        self.assertEqual(lockstep.prepare("lines", table, "array.h5", validation=0)["train_samples"], 2)
        for array in (data.astype(np.int64), data.reshape(2, -1), np.array(3, np.uint8)):
            for kind in ("text", "lines"):
                with self.assertRaisesRegex(lockstep.UsageError, f"prepare {kind} reads text: .*not {array.dtype} of .*write_dataset"):
                    lockstep.prepare(kind, [array], "refused.h5", tokenizer="bytes")
        self.assertFalse(os.path.exists("refused.h5"))

    def test_options_of_another_type(self):
        for wrong in (b"\\n", ["a"], {"a": 1}, np.zeros(2)):
            with self.assertRaisesRegex(TypeError, "separator is a text, a number, or True or False"):
                lockstep.prepare("text", [b"one", b"two"], "refused.h5", separator=wrong)
        made = lockstep.prepare("text", [b"one", b"two"], "options.h5", separator=os.path.join("a", "b"), validation=np.float64(0))
        self.assertEqual(made["options"], "--validation 0 --separator a/b")
        with self.assertRaisesRegex(lockstep.UsageError, "nothing-like-it"):
            lockstep.Trainer("job.yaml", {"train.no_decay": ["nothing-like-it"]}).run()
        with self.assertRaisesRegex(TypeError, "train.steps is a text"):
            lockstep.Trainer("job.yaml", {"train.steps": b"3"})

    def test_lines_from_memory(self):
        lines = b"".join(b"%s\t%s words of it\n" % (label, label) for label in [b"good", b"bad"] * 10)
        made = lockstep.prepare("lines", lines, "lines.h5", validation=4, tokenizer="words")
        self.assertEqual(made["train_samples"], 16)
        self.assertIn("memory", json.dumps(made))
        self.assertNotIn("memory-0", json.dumps(made))
        with self.assertRaisesRegex(lockstep.UsageError, "no option 'validatoin'"):
            lockstep.prepare("lines", lines, "lines.h5", validatoin=4)
        with self.assertRaisesRegex(lockstep.LockstepError, "lnies"):
            lockstep.prepare("lnies", lines, "lines.h5")

    def test_seal(self):
        tokenizer = lockstep.load("run").tokenizer
        data = read("text.h5")
        word = tokenizer.encode("Architecture").astype(np.uint8).tobytes()
        self.assertIn(word, data)
        # another program changes a token: refused until it is sealed; then the file holds the change
        with open("changed.h5", "wb") as file:
            file.write(data.replace(word, word[::-1], 1))
        with self.assertRaisesRegex(lockstep.DataError, "damaged"):
            lockstep.describe("changed.h5")
        lockstep.seal("changed.h5")
        self.assertIn(word[::-1], read("changed.h5"))
        lockstep.describe("changed.h5")
        # an id that no token has is found, and the file stays as it was
        wrong = data.replace(word, b"\xff" * len(word), 1)
        with open("wrong.h5", "wb") as file:
            file.write(wrong)
        with self.assertRaisesRegex(lockstep.DataError, r"wrong.h5: train/tokens\[\d+\] is 255, outside the vocabulary"):
            lockstep.seal("wrong.h5")
        self.assertEqual(read("wrong.h5"), wrong)


if __name__ == "__main__":
    unittest.main()

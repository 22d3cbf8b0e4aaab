"""Programs that can be asked for steps in turn: ours, started anew each time, and peers, which stay ready between their turns."""
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REST = 0.3  # seconds between turns: threads of the program before stop spinning


class Failed(Exception):
    pass


def last_lines(text, count=2):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return " | ".join(lines[-count:])[-300:] or "without a message"


def job_text(row, precision, more=""):
    """A row with a sequence is of tokens. One of whole samples names its task; one whose samples the model does not determine, their fields."""
    settings = {k: v for k, v in row["model"].items() if k not in ("kind", "state")}
    if "sequence" in row:
        settings.setdefault("context", row["sequence"])
    lines = ["model:", "  kind: %s" % row["model"]["kind"]] + ["  %s: %s" % item for item in settings.items()]
    lines += ["task:"] + ["  %s: %s" % item for item in row["task"].items()] if "task" in row else []
    lines += ["data:", '  fields: "%s"' % row["fields"]] if "fields" in row else []
    lines += ["train:", "  batch: %d" % row["batch"]] + (["  sequence: %d" % row["sequence"]] if "sequence" in row else [])
    lines += ["  precision: %s" % precision, "  clip: 1", more]
    return "\n".join(lines) + "\n"


# What makes PyTorch's libraries keep to the instruction set that LOCKSTEP_ISA names: MKL, oneDNN, its own kernels.
PEERS_LEVEL = {"baseline": ("SSE4_2", "SSE41", "default"), "v3": ("AVX2", "AVX2", "avx2"), "v4": ("AVX512", "AVX512_CORE_VNNI", "avx512")}


def environment(threads, **more):
    names = ("MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
    level = dict(zip(names, PEERS_LEVEL.get(os.environ.get("LOCKSTEP_ISA", ""), ())))
    return dict(os.environ, **level, OMP_NUM_THREADS=str(threads), **more)


def imports(python, names, path=None):
    """Those of the modules that the interpreter can find."""
    code = "import sys, importlib.util as u; sys.path.insert(0, %r); print([n for n in %r if u.find_spec(n)])" % (path or "", names)
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
        return set(eval(done.stdout, {"__builtins__": {}}))  # a list of our own names
    except (OSError, subprocess.CalledProcessError):
        return set()


def run(command, threads, **more):
    """A program from its start to its end, and what it said."""
    done = subprocess.run(command, env=environment(threads, **more), capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed("exit %d: %s" % (done.returncode, last_lines(done.stderr)))
    return done


class Ours:
    """`lockstep bench`, random tokens. A turn: one step to warm up, then the steps asked for."""

    program = "lockstep"

    def __init__(self, lockstep, row, precision, threads, ranks=1, mpirun=None, more="", extra=()):
        self.precision, self.threads, self.ranks = precision, threads, ranks
        self.folder = tempfile.mkdtemp(prefix="lockstep-bench-")
        self.job = os.path.join(self.folder, "job.yaml")
        with open(self.job, "w", encoding="utf-8") as file:
            file.write(job_text(row, precision, more))
        self.command = ([mpirun, "-np", str(ranks), "--bind-to", "none"] if ranks > 1 else []) + [lockstep, "bench", self.job, "--synthetic"]
        self.extra = list(extra)
        self.last = {}

    def turn(self, steps, warmup=2):
        command = self.command + ["--json", "--steps", str(steps), "--warmup", str(warmup)] + self.extra
        done = run(command, self.threads, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        before = self.last.get("products") or {}
        self.last = json.loads(done.stdout)
        if before.get("seconds", 1e9) < (self.last.get("products") or {}).get("seconds", 0):
            self.last["products"] = before  # the best round's
        return self.last["step_seconds"]

    def about(self):
        keys = ("parameters", "gflops", "share_of_peak", "memory_bytes", "peaks", "memory", "communication", "products")
        return {key: self.last.get(key) for key in keys}

    def end(self):
        shutil.rmtree(self.folder, ignore_errors=True)


# What PyTorch allocates in a step it gives back to the system at its end, unless glibc is told to keep it: where fresh pages are slow, as in
# virtual machines, that doubles its time. JAX is left as it is: kept memory would not leave it enough.
KEEPS_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(256 << 20),
                "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


class Peer:
    """A script of bench/peers under another interpreter; see peers/peer.py for how it is talked with."""

    def __init__(self, python, script, work, limit=600, keeps_memory=True):
        self.precision = work["precision"]
        self.program = os.path.splitext(script)[0]
        self.errors = tempfile.TemporaryFile(mode="w+")
        command = [python, os.path.join(HERE, "peers", script), json.dumps(work)]
        more = KEEPS_MEMORY if keeps_memory and script.startswith("torch") else {}
        self.process = subprocess.Popen(command, env=environment(work["threads"], **more), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)
        self.fields = {}
        self.limit = limit
        self.fields.update(self.answer())
        self.program = self.fields.get("name", self.program)

    def answer(self):
        """One line, or the reason why none comes. A peer that takes too long is ended."""
        timer = threading.Timer(self.limit, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):
            line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise Failed("exit %s: %s" % (self.process.returncode, last_lines(self.errors.read())))
        return json.loads(line)

    def turn(self, steps):
        self.process.stdin.write("%d\n" % steps)
        self.process.stdin.flush()
        self.fields.update(self.answer())
        return self.fields["seconds"]

    def about(self):
        return {"parameters": self.fields.get("parameters"), "memory_bytes": self.fields.get("resident_bytes"),
                "warmup_seconds": self.fields.get("warmup_seconds")}

    def end(self):
        try:
            self.process.stdin.close()
            self.process.wait(timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


class Training:
    """`lockstep train` from start to end, with its last validation and checkpoint; a turn is a run."""

    program = "lockstep"

    def __init__(self, lockstep, jobs, row, precision, threads, data):
        self.precision, self.threads = precision, threads
        self.folder = tempfile.mkdtemp(prefix="lockstep-bench-")
        self.command = [lockstep, "train", os.path.join(jobs, row["job"]), "--progress", "none", "--resume", "never", "data.path=" + data,
                        "train.precision=" + precision, "train.evaluate_every=0", "output.save_every=0"]
        self.runs, self.loss = 0, None

    def turn(self, steps):
        self.runs += 1
        folder = os.path.join(self.folder, str(self.runs))
        start = time.perf_counter()
        run(self.command + ["train.steps=%d" % steps, "output.path=" + folder], self.threads)
        seconds = time.perf_counter() - start
        with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
            self.loss = json.loads(file.readlines()[-1]).get("validation_loss")
        return [seconds]

    def about(self):
        return {"validation_loss": self.loss}

    def end(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Generation:
    """`lockstep generate` from a checkpoint; a turn is a call, its result the seconds of each token."""

    program = "lockstep"

    def __init__(self, lockstep, run, precision, threads, prompt, batch=1, offered=True):
        self.precision, self.threads = precision, threads
        ids = ",".join(str(1 + i % 60) for i in range(prompt))
        self.command = [lockstep, "generate", run, "--ids", ids, "--batch", str(batch), "--temperature", "0", "--no-stop"]
        self.command += ["--precision", precision] if offered else []
        self.batch = batch

    def turn(self, steps):
        said = run(self.command + ["--tokens", str(steps)], self.threads).stderr
        found = re.search(r"(\d+) tokens in ([0-9.]+) s: ([0-9.]+) tokens per second", said)
        if not found:
            raise Failed("no tokens per second: %s" % last_lines(said))
        return [self.batch / float(found.group(3))]

    def about(self):
        return {}

    def end(self):
        pass


def measure(makers, rounds, say):
    """Makes the contenders (functions), then lets each have its turn, round after round. Returns their figures; one that fails is left
    out from then on, with its reason."""
    entries = []
    for make, steps in makers:
        entry = {"program": make["program"], "precision": make["precision"], "seconds": [], "turns": []}
        entries.append((entry, steps))
        try:
            say("  %s, %s: gets ready" % (make["program"], make["precision"]))
            entry["contender"] = make["make"]()
            entry["program"] = entry["contender"].program
        except (Failed, OSError) as error:
            entry["failed"] = str(error)
            say("    failed: %s" % error)
    for number in range(rounds):
        for entry, steps in entries:
            if "failed" in entry:
                continue
            time.sleep(REST)
            try:
                seconds = entry["contender"].turn(steps)
                entry["seconds"] += seconds
                entry["turns"].append(statistics.median(seconds))
                say("  round %d: %-32s %-9s %10.1f ms" % (number + 1, entry["program"], entry["precision"], 1e3 * entry["turns"][-1]))
            except (Failed, OSError) as error:
                entry["failed"] = str(error)
                say("    %s failed: %s" % (entry["program"], error))
    for entry, _ in entries:
        contender = entry.pop("contender", None)
        if contender:
            entry.update(contender.about())
            contender.end()
    for entry, _ in entries:
        if entry["seconds"]:
            entry["median"] = statistics.median(entry["seconds"])
            entry["least"] = min(entry["seconds"])
        entry["ours"] = entry["program"] == "lockstep"
    return [entry for entry, _ in entries]

"""Figures as Markdown, and a machine in a few words."""
import json
import math
import os
import re
import statistics
import subprocess


def first(path, pattern):
    try:
        with open(path, encoding="utf-8") as file:
            found = re.search(pattern, file.read(), re.MULTILINE)
        return found.group(1).strip() if found else ""
    except OSError:
        return ""


def machine(lockstep):
    """Processor, cores, memory, kernel, and our program's versions."""
    version = subprocess.run([lockstep, "--version"], capture_output=True, text=True).stdout
    memory = first("/proc/meminfo", r"^MemTotal:\s+(\d+)")
    versions = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in version.splitlines() if re.search(r"\S\s{2,}\S", line))
    return {"processor": first("/proc/cpuinfo", r"^model name\s*:\s*(.*)$"), "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(int(memory) / 2**20, 1) if memory else None, "system": "%s %s" % (os.uname().sysname, os.uname().release),
            "versions": versions}


def duration(seconds):
    """Three digits: "1.23 s", "45.6 ms"."""
    if seconds >= 1:
        return "%.3g s" % seconds if seconds < 100 else "%.0f s" % seconds
    return "%.3g ms" % (1e3 * seconds)


def rate(value):
    return "{:,.0f}".format(value) if value >= 100 else "%.3g" % value


def best_peer(programs, precision):
    """The fastest of the others in this precision; where there is none, the fastest of all."""
    those = [p for p in programs if not p["ours"] and "median" in p]
    same = [p for p in those if p["precision"] == precision]
    return min(same or those, key=lambda p: p["median"], default=None)


def comparison(document):
    m = document["machine"]
    lines = ["Measured %s: %s, %d cores, %s GiB, %s; %d threads, %d rounds in turn (whole runs: one)." %
             (document["date"], m["processor"], m["cores"], m["memory_gib"], m["system"], document["threads"], document["rounds"]), ""]
    peaks = [p["peaks"] for row in document["rows"] for p in row["programs"] if p.get("peaks")]
    if peaks:
        lines += ["Peaks of this machine: products %.0f GFLOP/s in float, %.0f in bfloat16; memory %.1f GB/s, %.1f of reading alone." %
                  tuple(max(p.get(key, 0) for p in peaks) for key in ("gflops", "gflops_bfloat16", "bandwidth", "reading")), ""]
    lines += ["| work | program | precision | median | least | tokens/s | memory | ours is faster |", "|---|---|---|---:|---:|---:|---:|---:|"]
    for row in document["rows"]:
        title = row["title"]
        for p in row["programs"]:
            if "median" not in p:
                lines.append("| %s | %s | %s | failed: %s | | | | |" % (title, p["program"], p["precision"], p.get("failed", "").replace("|", "/")))
                title = ""
                continue
            faster = ""
            peer = best_peer(row["programs"], p["precision"]) if p["ours"] else None
            if peer:
                other = "" if peer["precision"] == p["precision"] else ", against its %s" % peer["precision"]
                faster = "**%.3g times** (%s%s)" % (peer["median"] / p["median"], peer["program"], other)
            scaled = " (of %d steps)" % p["scaled_from_steps"] if p.get("scaled_from_steps") else ""
            memory = "%.2f GiB" % (p["memory_bytes"] / 2**30) if p.get("memory_bytes") else ""
            lines.append("| %s | %s | %s | %s%s | %s | %s | %s | %s |" % (title, p["program"], p["precision"], duration(p["median"]), scaled,
                                                                          duration(p["least"]), rate(row["tokens"] / p["median"]), memory, faster))
            title = ""
    limits = products(document)
    return "\n".join(lines) + "\n" + limits


def products(document):
    """The share of the limit that a step's dense products alone set: ours, and a peer's."""
    lines = []
    for row in document["rows"]:
        for p in row["programs"]:
            if not p.get("products") or "median" not in p:
                continue
            limit, peer, step = p["products"]["seconds"], p["products"].get("peer"), p["median"]
            theirs = "%s (%s) | %.0f %%" % (duration(peer["seconds"]), peer["program"], 100 * peer["seconds"] / step) if peer else "|"
            lines.append("| %s | %s | %s | %s | %.0f %% | %s |" % (row["title"], p["precision"], duration(step), duration(limit), 100 * limit / step,
                                                              theirs))
    if not lines:
        return ""
    head = ["", "Dense products alone, each shape's best call, ours and a peer's; over the step, the share of that limit which the step reaches.", "",
            "| work | precision | step | our products | share | the peer's | share |", "|---|---|---:|---:|---:|---:|---:|"]
    return "\n".join(head + lines) + "\n"


def mean_of(values):
    return statistics.mean(values) if values else None


def scores(document):
    """What ours and PyTorch reach, seed by seed; the standard error is that of the difference of the means."""
    m, threads = document["machine"], document["threads"]
    lines = ["Measured %s: %s, %d cores, %s; %d thread%s." % (document["date"], m["processor"], m["cores"], m["system"], threads,
                                                              "" if threads == 1 else "s"), "",
             "| training | metric | seeds | here | mean | PyTorch | mean | difference | standard error |", "|---|---|---|---|---:|---|---:|---:|---:|"]
    for row in document["rows"]:
        programs = [row["scores"]["lockstep"], row["scores"]["pytorch"]]
        seeds = sorted(set(programs[0]) | set(programs[1]), key=int)
        title = "%s, %d steps (`%s`)" % (row["title"], row["recipe"]["train"]["steps"], row["name"])
        for metric in row["metrics"]:
            cells, values, name, scale = [], [], metric["name"], metric["scale"]

            def number(value, form="%%.%df" % metric["digits"]):
                return "" if value is None else form % value

            for of_program in programs:
                there = [of_program.get(seed, {}) for seed in seeds]
                values.append([scale * one[name] for one in there if name in one])
                said = [number(scale * one[name]) if name in one else "failed" if "failed" in one else "-" for one in there]
                cells += [", ".join(said) if any(there) else "", number(mean_of(values[-1]))]
            difference = mean_of(values[0]) - mean_of(values[1]) if all(values) else None
            error = math.sqrt(sum(statistics.variance(v) / len(v) for v in values)) if min(map(len, values)) > 1 else None
            cells += [number(difference, "%%+.%df" % metric["digits"]), number(error)]
            lines.append("| %s | %s | %s | %s |" % (title, metric["title"], ", ".join(seeds), " | ".join(cells)))
            title = ""
    return "\n".join(lines) + "\n"


def write_json(path, document):
    """Figures: the file is never half there. Without a path nothing is written."""
    if not path:
        return
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    os.replace(path + ".tmp", path)


def replace(path, name, text):
    """Puts text between <!-- name --> and <!-- end of name -->."""
    with open(path, encoding="utf-8") as file:
        document = file.read()
    begin, end = "<!-- %s -->\n" % name, "<!-- end of %s -->" % name
    if begin not in document or end not in document:
        raise SystemExit("%s: has no part marked %s" % (path, begin.strip()))
    head, rest = document.split(begin, 1)
    tail = rest.split(end, 1)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(head + begin + text + end + tail)

#!/usr/bin/env bash
# report and plot: pages and pictures of real runs, well formed, with what was trained in them; what is refused.
# usage: cli_report.sh PROGRAM
. "$(dirname "$0")/cli.inc"
printf 'To be, or not to be, that is the question.\n%.0s' {1..50} > text.txt
prepare text.h5 --tokenizer characters --validation 0.2
cat > job.yaml <<YAML
model: {kind: gpt, layers: 1, width: 16, heads: 2, context: 16}
data: {path: text.h5}
train: {steps: 30, batch: 4, evaluate_every: 10}
output: {path: runs/a}
YAML
expect 0 '' "$lockstep" train job.yaml
expect 0 '' "$lockstep" train job.yaml 'output.path=runs/b & <c>' train.learning_rate=0.01 train.steps=40

# ---- the same rows as CSV and as event files, after a resumption too
expect 0 '' "$lockstep" train job.yaml output.path=runs/t output.csv=true output.tensorboard=true train.steps=20 output.save_every=10
expect 0 '' "$lockstep" train job.yaml output.path=runs/t output.csv=true output.tensorboard=true train.steps=30 output.save_every=10
python3 - <<'PY' || failed "metrics.csv or the event files are not as they should be"
import csv, glob, json, struct
rows = [json.loads(line) for line in open("runs/t/metrics.jsonl")]
table = list(csv.DictReader(open("runs/t/metrics.csv", newline="")))
assert len(table) == len(rows) == 30
for row, line in zip(rows, table):
    assert {name: float(value) for name, value in line.items() if value != ""} == {name: float(value) for name, value in row.items()}
def crc(data): # CRC-32C, bit by bit; masked
    value = 0xffffffff
    for byte in data:
        value ^= byte
        for _ in range(8): value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
    value ^= 0xffffffff
    return ((value >> 15 | value << 17) + 0xa282ead8) & 0xffffffff
assert crc(b"123456789") == ((0xe3069283 >> 15 | 0xe3069283 << 17) + 0xa282ead8) & 0xffffffff # RFC 3720's polynomial
def fields(data): # (number, value) of a protocol buffer
    at = 0
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]; at += 1
            value |= (byte & 127) << shift; shift += 7
            if byte < 128: return value
    while at < len(data):
        key = varint()
        if key & 7 == 0: yield key >> 3, varint()
        else:
            size = {1: 8, 2: None, 5: 4}[key & 7]
            size = varint() if size is None else size
            yield key >> 3, data[at:at + size]
            at += size
seen = {}
files = sorted(glob.glob("runs/t/tensorboard/events.out.tfevents.*"), key=lambda name: (int(name.split(".")[3]), int(name.split(".")[-1])))
assert len(files) == 2, files
for name in files:
    data, at = open(name, "rb").read(), 0
    while at < len(data):
        length, check = struct.unpack_from("<QI", data, at)
        record = data[at + 12:at + 12 + length]
        assert crc(data[at:at + 8]) == check and crc(record) == struct.unpack_from("<I", data, at + 12 + length)[0]
        if at == 0: assert dict(fields(record))[3] == b"brain.Event:2"
        event = dict(fields(record))
        for number, value in fields(event.get(5, b"")):
            scalar = dict(fields(value))
            seen[event[2], scalar[1].decode()] = struct.unpack("<f", scalar[2])[0]
        at += 16 + length
single = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]
assert seen == {(row["step"], name): single(value) for row in rows for name, value in row.items() if name != "step"}
PY

expect 0 '' "$lockstep" bench runs/a/config.yaml --steps 2 --json
cp out.txt runs/a/bench.json
says 0 '2 runs' report runs/a/ 'runs/b & <c>' -o page.html --title 'A & B'
says 0 '4 curves of 2 runs' plot runs/a 'runs/b & <c>' -o plot.svg --metric loss,validation_loss --logarithmic
says 0 '1 curve of 1 run' plot runs/a -o rate.svg --metric learning_rate
says 0 '2 curves of 2 runs' plot runs/a 'runs/b & <c>' -o validation.svg --metric validation_loss
says 0 '2 curves of 2 runs' plot runs/a 'runs/b & <c>' -o validation-smooth.svg --metric validation_loss --smooth 7
says 0 '2 curves of 2 runs' plot runs/a 'runs/b & <c>' -o smooth.svg --smooth 7 --names 'small rate,large <rate>' --logarithmic
says 2 '--names has 1 name for 2 runs' plot runs/a 'runs/b & <c>' -o x.svg --names one
says 0 '1 curve of 1 run' plot runs/a -o time.svg --metric grad_norm --against seconds
python3 - <<'PY' || failed "the page or a picture is not as it should be"
import html.parser, re, xml.etree.ElementTree as tree
page = open("page.html").read()
class Check(html.parser.HTMLParser):
    open, text = [], ""
    def handle_starttag(self, tag, attrs):
        assert not any(name in ("src", "href") for name, value in attrs), "the page loads something"
        if tag != "meta": self.open.append(tag)
    def handle_endtag(self, tag): assert self.open.pop() == tag, tag
    def handle_data(self, data): self.text += data
check = Check()
check.feed(re.sub(r"<(\w+)([^<>]*)/>", r"<\1\2></\1>", page))
assert not check.open, check.open
for text in ("A & B", "runs/a", "runs/b & <c>", "train.learning_rate", "0.01", "done", "tokens/s", "memory of a rank", "MiB planned)", "A step, op by op", "roofline"):
    assert text in check.text, text
import json
bench = json.load(open("runs/a/bench.json"))
section = page.split("A step, op by op")[1].split("<h2>")[0]
table = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in section.split("<tr>")]
ops = {row[0]: row for row in table if len(row) == 8}
assert set(ops) == {op["name"] for op in bench["ops"]} and len(ops) >= 5
for op in bench["ops"]:
    row = ops[op["name"]]
    assert int(row[1]) == op["calls"] and abs(float(row[2]) - 1e3 * op["seconds"]) <= 1e-3 * float(row[2])
    share = op["forward"]["roofline_share"]
    assert row[6] == "" if share is None else abs(float(row[6][:-2]) - 100 * share) <= 1e-3 * 100 * share, row
assert "output.path" not in check.text.split("All settings")[0] # the run's name heads its column
assert "train.batch" in check.text.split("All settings")[1] and "train.batch" not in check.text.split("All settings")[0]
charts = re.findall(r"<svg.*?</svg>", page, re.S)
assert len(charts) >= 5, len(charts)
def points(svg): # numbers of points of each drawn line
    paths = [e.get("d") for e in tree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path") if e.get("stroke-width")]
    for d in paths:
        xs = [float(x) for x in re.findall(r"[ML]([0-9.]+) ", d)]
        assert xs == sorted(xs) and xs[0] >= 64, d
    return [len(re.findall("[ML]", d)) for d in paths]
assert points(charts[0]) == [30, 40], points(charts[0]) # the loss of every step
assert points(charts[1]) == [3, 4], points(charts[1])   # of every validation
assert points(open("plot.svg").read()) == [30, 40, 3, 4]
assert ">loss, validation_loss<" in open("plot.svg").read()
assert points(open("time.svg").read()) == [30]
def beginning(svg): return float(re.search(r'<path d="M([0-9.]+) [0-9.]+V', svg).group(1)) # where the axis stands
for name in ("rate.svg", "plot.svg"): # long numbers have room beside the label
    longest = max(len(text) for text in re.findall(r'text-anchor="end"[^>]*>([^<]*)', open(name).read()))
    assert beginning(open(name).read()) == max(64, 28 + 8 * longest), (name, longest)
smooth = open("smooth.svg").read()
sparse = [[e.get("d") for e in tree.parse(name).getroot().iter("{http://www.w3.org/2000/svg}path") if e.get("stroke-width")] for name in ("validation.svg", "validation-smooth.svg")]
assert sparse[0] == sparse[1], sparse # fewer steps than lie between two validations
def labels(svg): return ["".join(e.itertext()) for e in tree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
assert points(smooth) == [30, 40] and "small rate" in labels(smooth) and "large <rate>" in labels(smooth), labels(smooth)
def heights(svg): # of the first curve, in pixels
    d = next(e.get("d") for e in tree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path") if e.get("stroke-width"))
    return [float(y) for y in re.findall(r"[ML][0-9.]+ ([0-9.]+)", d)]
import math
loss = [json.loads(line)["loss"] for line in open("runs/a/metrics.jsonl")]
mean = [math.log(sum(loss[max(0, i - 6):i + 1]) / min(i + 1, 7)) for i in range(30)]
at = heights(smooth)
slope = (at[29] - at[0]) / (mean[29] - mean[0]) # pixels are linear in the logarithm of the mean
assert all(abs(at[0] + slope * (mean[i] - mean[0]) - at[i]) < 0.2 for i in range(30)), (at, mean)
marks = [float(t) for t in labels(smooth) if re.fullmatch(r"[0-9.]+", t)]
assert sum(mark < 10 for mark in marks) >= 3, marks # of less than a decade: losses have marks too
PY

# ---- a PNG is the same picture: the curves' pixels lie where the SVG has their points
says 0 '2 curves of 2 runs' plot runs/a 'runs/b & <c>' -o two.svg --title 'A & B: 0.5 <%>'
says 0 '2 curves of 2 runs' plot runs/a 'runs/b & <c>' -o two.png --title 'A & B: 0.5 <%>'
python3 - <<'PY' || failed "the PNG is not the picture of the SVG"
import re, struct, zlib
data, at, packed = open("two.png", "rb").read(), 8, b""
while at < len(data):
    size, kind = struct.unpack(">I4s", data[at:at + 8])
    body = data[at + 8:at + 8 + size]
    assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0]
    if kind == b"IHDR": width, height, depth, colour = struct.unpack(">IIBB", body[:10])
    if kind == b"IDAT": packed += body
    at += 12 + size
svg = open("two.svg").read()
assert (width, height, depth, colour) == (1600, 2 * int(re.search(r'height="(\d+)"', svg).group(1)), 8, 2)
stride, raw, rows, before = width * 3, zlib.decompress(packed), [], bytes(width * 3)
for y in range(height):
    kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
    for i in range(stride) if kind else ():
        a, b, c = (row[i - 3], before[i], before[i - 3]) if i >= 3 else (0, before[i], 0)
        pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - c - c)
        row[i] = row[i] + (a, b, (a + b) // 2, a if pa <= pb and pa <= pc else b if pb <= pc else c)[kind - 1] & 255
    rows.append(row)
    before = row
def near(x, y, rgb): # a pixel of this colour close to a point of the SVG
    return any(max(abs(rows[v][3 * u + c] - rgb[c]) for c in range(3)) < 40
               for v in range(int(2 * y) - 2, int(2 * y) + 3) for u in range(int(2 * x) - 2, int(2 * x) + 3))
paths = re.findall(r'<path fill="none" stroke="#(\w{6})" stroke-width="1.5" d="([^"]*)"', svg)
assert len(paths) == 2
hits = [near(float(x), float(y), bytes.fromhex(stroke)) for stroke, d in paths for x, y in re.findall(r"[ML]([0-9.]+) ([0-9.]+)", d)]
assert len(hits) == 70 and sum(hits) >= 60, (len(hits), sum(hits)) # but where one curve lies on the other
dark = lambda left, top, right, bottom: sum(max(rows[y][3 * x:3 * x + 3]) < 128 for y in range(top, bottom) for x in range(left, right))
assert dark(650, 10, 950, 40) > 60         # the title
assert dark(0, 60, 120, height - 140) > 200 # numbers of the y axis, and its name, turned
assert dark(180, height - 72, 500, height) > 150 # names of the runs
assert dark(960, 10, 1600, 40) == 0
PY

says 2 "did you mean 'loss'? (it has: step, loss" plot runs/a -o x.svg --metric los
cp -r runs/a judged && sed -i 's/validation_loss/validation_accuracy/' judged/metrics.jsonl
says 2 "did you mean 'validation_accuracy'?" plot judged -o x.svg --metric accuracy
says 2 'there is no run validation_loss; several columns are separated by commas: --metric loss,validation_loss' plot runs/a -o x.svg --metric loss validation_loss

# ---- diff --config
cp -r runs/a later
sed -i 's/^  steps: .*/  steps: 77/' later/config.yaml
says 1 'train.steps ' diff --config runs/a 'runs/b & <c>' later
grep -Eq '^setting +runs/a +runs/b & <c> +later$' out.txt && grep -Eq '^train.steps .* 77$' out.txt || failed "settings that differ: $(cat out.txt)"
! grep -q '^output.path' out.txt || failed "the names of the runs are listed: $(cat out.txt)"
expect 1 '' "$lockstep" diff --config runs/a later --json
python3 - <<'PY' || failed "settings that differ, as JSON: $(cat out.txt)"
import json
all = json.load(open("out.txt"))
assert all["runs"] == ["runs/a", "later"] and not all["equal"]
assert [(row["setting"], row["values"][1]) for row in all["settings"]] == [("train.steps", "77")], all
PY
says 0 'equal' diff --config runs/a "$(ls runs/a/checkpoints/*.h5 | tail -1)"
says 2 'two runs are compared, not 3; --config' diff runs/a later runs/a
says 4 'nowhere' diff --config runs/a nowhere
says 2 'diff: --all changes nothing beside --config' diff --config runs/a later --all
says 2 'name it FILE.svg or FILE.png' plot runs/a -o x.gif
says 3 'no config.yaml' report . -o x.html
mkdir -p empty && cp runs/a/config.yaml empty && : > empty/metrics.jsonl
says 3 'has no rows yet' report empty -o x.html
says 3 'has no rows yet' plot empty -o x.svg
expect 0 'empty/metrics.jsonl: has no rows yet: train for some steps first; nothing of it is drawn' "$lockstep" report runs/a empty -o y.html

# ---- an imported run has no rows
expect 0 '' "$lockstep" export runs/a -o folder
expect 0 '' "$lockstep" import folder -o imported
says 3 'imported: was imported and not trained since: it has no metrics.jsonl' plot imported -o x.svg
says 3 'imported: was imported and not trained since: it has no metrics.jsonl' report imported -o x.html
expect 0 'warning: imported: was imported and not trained since' "$lockstep" plot imported runs/a -o y.svg
grep -q '1 curve of 1 run' out.txt || failed "plot of an imported run and another: $(cat out.txt)"
expect 0 'warning: imported: was imported and not trained since' "$lockstep" report imported runs/a -o y.html
grep -q '</span>imported</td><td>gpt' y.html || failed "an imported run is not in the report's table"
rm runs/t/metrics.jsonl
says 3 'runs/t: has no metrics.jsonl, and so no rows' plot runs/t -o x.svg
{ head -c 20 runs/a/metrics.jsonl; echo; cat runs/a/metrics.jsonl; } > empty/metrics.jsonl
expect 0 '1 lines are no rows' "$lockstep" report empty -o y.html
echo '{"x": 1}' > runs/a/bench.json
says 3 "runs/a/bench.json: is not what 'lockstep bench --json' prints" report runs/a -o x.html
says 2 'too few arguments' report -o x.html
[ ! -e x.html ] && [ ! -e x.svg ] && [ ! -e x.gif ] || failed "a refused command left a file"
# what is no run folder, and what is not there
mkdir -p outer/none outer/one/checkpoints
says 3 'nowhere: there is no such run folder' plot nowhere -o p.svg
says 3 'outer: is no run folder: it has no config.yaml; below it: outer/one (a run)' report outer -o p.html
run_for 3 "$lockstep" report outer/none -o p.html
grep -q 'it has no config.yaml$' err.txt || failed "an empty folder: $(cat err.txt)"
finish

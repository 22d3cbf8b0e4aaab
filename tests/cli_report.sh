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

says 0 '2 runs' report runs/a/ 'runs/b & <c>' -o page.html --title 'A & B'
says 0 '4 curves of 2 runs' plot runs/a 'runs/b & <c>' -o plot.svg --metric loss,validation_loss --logarithmic
says 0 '1 curves of 1 runs' plot runs/a -o time.svg --metric grad_norm --against seconds
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
for text in ("A & B", "runs/a", "runs/b & <c>", "train.learning_rate", "0.01", "done", "tokens/s"):
    assert text in check.text, text
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
assert points(open("time.svg").read()) == [30]
PY

says 2 "it has: step, loss" plot runs/a -o x.svg --metric los
says 2 'name it FILE.svg' plot runs/a -o x.png
says 3 'no config.yaml' report . -o x.html
mkdir -p empty && cp runs/a/config.yaml empty && : > empty/metrics.jsonl
says 3 'has no rows yet' report runs/a empty -o x.html
{ head -c 20 runs/a/metrics.jsonl; echo; cat runs/a/metrics.jsonl; } > empty/metrics.jsonl
expect 0 '1 lines are no rows' "$lockstep" report empty -o y.html
says 2 'too few arguments' report -o x.html
[ ! -e x.html ] && [ ! -e x.svg ] && [ ! -e x.png ] || failed "a refused command left a file"
finish

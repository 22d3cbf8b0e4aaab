#!/usr/bin/env bash
# The report page in a browser: headless Chromium draws it without a network, and what it draws is looked at: sizes by the page's own layout,
# colours of the curves in a picture of it.
# usage: browser.sh PROGRAM CHROMIUM
chromium=$2
. "$(dirname "$0")/cli.inc"
random_words 900 > text.txt
prepare data.h5 --tokenizer characters --validation 0.1
cat > job.yaml <<'JOB'
model: {kind: gpt, layers: 1, width: 16, heads: 2, context: 16}
data: {path: data.h5}
train: {steps: 30, batch: 4, evaluate_every: 10, sample_every: 15, sample_prompts: [the], sample_tokens: 30}
output: {path: one}
JOB
expect 0 '' "$lockstep" train job.yaml --progress none
expect 0 '' "$lockstep" train job.yaml --progress none output.path=two train.learning_rate=1e-2
expect 0 '' "$lockstep" report one two -o page.html --title 'Two runs'

# A copy that writes its layout into itself; the page itself has no script.
grep -q '<script' page.html && failed "the page has a script"
cat > look.js <<'JS'
const box = e => { const r = e.getBoundingClientRect(); return [Math.round(r.width), Math.round(r.height)]; };
const all = name => [...document.querySelectorAll(name)];
document.body.dataset.look = JSON.stringify({
    charts: all("svg").map(box), texts: all("svg text").map(box), samples: all("details[open] pre").map(e => e.textContent),
    heading: document.querySelector("h1").textContent, wide: document.documentElement.scrollWidth - innerWidth,
    rows: all("tr").length, loaded: performance.getEntriesByType("resource").length, height: document.documentElement.scrollHeight});
JS
{ cat page.html; echo '<script>'; cat look.js; echo '</script>'; } > looked.html
browse() # ARGUMENT...
{
    HOME=$folder timeout 120 "$chromium" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking --no-first-run \
        --host-resolver-rules='MAP * ~NOTFOUND' --user-data-dir="$folder/profile" --window-size=1000,1100 --hide-scrollbars "$@" 2> browser.txt
}
browse --dump-dom "file://$folder/looked.html" > dom.html || failed "Chromium: $(tail -3 browser.txt)"
browse --screenshot="$folder/page.png" "file://$folder/page.html" > /dev/null || failed "Chromium: $(tail -3 browser.txt)"
python3 - <<'PY' || failed "the page is not drawn as it should be: $(grep -o 'data-look="[^"]*"' dom.html | head -c 600)"
import html, json, re, struct, zlib
look = json.loads(html.unescape(re.search(r'data-look="([^"]*)"', open("dom.html").read()).group(1)))
assert look["heading"] == "Two runs" and look["wide"] <= 0 and look["loaded"] == 0 and look["rows"] > 80, look
assert len(look["charts"]) >= 5 and all(width > 600 and height > 200 for width, height in look["charts"]), look["charts"]
assert len(look["texts"]) > 60 and all(width > 0 and height > 0 for width, height in look["texts"])
assert len(look["samples"]) == 2 and all(text.startswith("the") and len(text) == 33 for text in look["samples"]), look["samples"]
data, at, packed = open("page.png", "rb").read(), 8, b"" # PNG of 8 bits a channel, without interlacing
while at < len(data):
    size, kind = struct.unpack(">I4s", data[at:at + 8])
    if kind == b"IHDR": width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[at + 8:at + 8 + size])
    if kind == b"IDAT": packed += data[at + 8:at + 8 + size]
    at += 12 + size
assert depth == 8 and colour in (2, 6) and not interlaced and width == 1000 and height == 1100
step = 3 if colour == 2 else 4
stride, raw, rows, before = width * step, zlib.decompress(packed), [], bytearray(width * step)
blue = orange = ink = 0
for y in range(height):
    kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
    if kind == 1:
        for i in range(step, stride): row[i] = row[i] + row[i - step] & 255
    elif kind == 2: row = bytearray(map(lambda a, b: a + b & 255, row, before))
    elif kind == 3:
        for i in range(stride): row[i] = row[i] + ((row[i - step] if i >= step else 0) + before[i]) // 2 & 255
    elif kind == 4:
        for i in range(stride): # Paeth's choice
            a, b, c = (row[i - step], before[i], before[i - step]) if i >= step else (0, before[i], 0)
            pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - c - c)
            row[i] = row[i] + (a if pa <= pb and pa <= pc else b if pb <= pc else c) & 255
    before = row
    pixels = [bytes(row[i:i + 3]) for i in range(0, stride, step)]
    blue += pixels.count(b"\x00\x72\xb2"); orange += pixels.count(b"\xd5\x5e\x00"); ink += sum(max(p) < 100 for p in pixels)
assert blue > 200 and orange > 200 and ink > 2000, (blue, orange, ink) # the curves of both runs, and letters
PY
finish

#!/usr/bin/env bash
# bench/scores without PyTorch: ours alone on a small text, a stand-in for the other side, what is missing, and the table.
# usage: cli_scores.sh PROGRAM
. "$(dirname "$0")/cli.inc"
export PYTHONDONTWRITEBYTECODE=1

command -v python3 > /dev/null || { echo "no python3: bench/scores is not tried"; finish; }
scores() { python3 "$project/bench/scores" --lockstep "$lockstep" "$@"; }

# Every script of bench is Python, and every row's job and peer are there.
python3 - "$project/bench" << 'PYTHON' || failed "the scripts of bench"
import ast, glob, os, sys
bench = sys.argv[1]
sys.path.insert(0, bench)
programs = [name for name in glob.glob(bench + "/*") if os.path.isfile(name)]
for name in programs + glob.glob(bench + "/peers/*.py"):
    with open(name, encoding="utf-8") as file:
        ast.parse(file.read(), name)
from score_rows import ROWS
for row in ROWS:
    for name in (os.path.join(bench, "..", "jobs", row["job"]), os.path.join(bench, "peers", row["peer"])):
        assert os.path.exists(name), name
PYTHON

mkdir data tmp
export TMPDIR=$folder/tmp
cp "$project/docs/architecture.md" text.txt
prepare data/shakespeare.h5 --tokenizer characters --validation 0.1
run_for 0 scores characters-gru --only lockstep --steps 2 --seeds 1,2 --data data --json scores.json
grep -qE '^\| GRU, .* 2 steps \(`characters-gru`\) \| .* \| 1, 2 \| [0-9.]+, [0-9.]+ \| [0-9.]+ \|  \|  \|  \|  \|$' out.txt ||
    failed "the table of ours alone: $(cat out.txt)"

# What ours says is what eval says of the same training.
expect 0 '' "$lockstep" train "$project/jobs/shakespeare-gru.yaml" model.tied=false train.steps=2 train.learning_rate=3e-3 \
    train.min_learning_rate=0 train.warmup=0 train.weight_decay=0 train.beta2=0.999 train.seed=1 data.path=data/shakespeare.h5 output.path=run
"$lockstep" eval run --json > eval.json 2> err.txt
python3 - << 'PYTHON' || failed "ours: $(cat eval.json scores.json)"
import json
row, = json.load(open("scores.json"))["rows"]
assert row["scores"]["lockstep"]["1"]["loss"] == json.load(open("eval.json"))["loss"]
assert row["scores"]["lockstep"]["2"]["loss"] != row["scores"]["lockstep"]["1"]["loss"]
PYTHON

# A stand-in for an interpreter with PyTorch: it has all modules, and its peer says the learning rate and the seed that it was told.
cat > stand-in << 'END'
#!/usr/bin/env python3
import json, sys
if sys.argv[1] == "-c":
    print(["h5py", "numpy", "torch"])
else:
    train = json.loads(sys.argv[2])["settings"]["train"]
    assert train["steps"] == 2 and train["carry"] is True and train["init"] is None
    print("a warning of its own")
    print(json.dumps({"seed": train["seed"], "steps": 2, "metrics": {"loss": train["learning_rate"] + train["seed"]}}))
END
chmod +x stand-in
run_for 0 scores characters-gru --only pytorch --python ./stand-in --steps 2 --seeds 1,2 --json scores.json
grep -qE '\| 1, 2 \| [0-9.]+, [0-9.]+ \| [0-9.]+ \| 1\.0030, 2\.0030 \| 1\.5030 \| [+-][0-9.]+ \| 0\.5[0-9]+ \|$' out.txt ||
    failed "the table of both: $(cat out.txt)"
cp out.txt both.txt
run_for 0 scores --render scores.json
cmp -s out.txt both.txt || failed "rendered: $(diff out.txt both.txt)"
printf '<!-- scores -->\nold\n<!-- end of scores -->\n' > document.md
run_for 0 scores --render scores.json --into document.md
sed -n '2,$p' document.md | sed '$d' | cmp -s - both.txt || failed "put into a document: $(cat document.md)"

# Another recipe begins anew; a peer that fails is said, and the status tells.
expect 0 'begin anew' scores characters-gru --only lockstep --steps 1 --seeds 3 --json scores.json
grep -qE '\| 3 \| [0-9.]+ \| [0-9.]+ \|  \|  \|  \|  \|$' out.txt || failed "figures of another recipe stay: $(cat out.txt)"
expect 1 'failed exit 1: ' scores characters-gru --python ./stand-in --steps 1 --seeds 3
grep -qE '\| 3 \| [0-9.]+ \| [0-9.]+ \| failed \|  \|  \|  \|$' out.txt || failed "a failure in the table: $(cat out.txt)"

# What is missing is said before anything is trained, with the commands that make it.
expect 2 'no module' scores characters-gru --python /bin/false
expect 2 'elsewhere/tatoeba.h5' scores characters-gru translation-gru tagging --only lockstep --data elsewhere
for text in 'bash datasets/tiny-shakespeare.sh -o elsewhere' 'lockstep prepare pairs elsewhere/tatoeba/fra-eng.txt' 'elsewhere/wnut17-pieces.h5 and elsewhere/minilm' \
    'bash datasets/minilm.sh -o elsewhere'; do
    grep -qF "$text" err.txt || failed "no '$text' in: $(cat err.txt)"
done
! grep -q 'lockstep train' err.txt || failed "more than the data: $(cat err.txt)"
for wrong in '--steps -1' '--steps 0' '--threads 0' '--seeds 1,x' '--json none/scores.json' '--lockstep /bin/true' '--lockstep /tmp' '--into document.md'; do
    # shellcheck disable=SC2086
    run_for 2 scores characters-gru --only lockstep $wrong
    ! grep -q Traceback err.txt || failed "$wrong: $(cat err.txt)"
done
for text in '' '{' '[]' '{"machine": {}, "threads": 1}'; do
    echo "$text" > figures.json
    expect 2 'figures.json: no figures' scores --render figures.json
    expect 2 'figures.json: no figures' scores characters-gru --only lockstep --json figures.json
done
expect 2 'No such file' scores --render nothing.json
expect 2 'there is no row greek' scores greek
expect 2 'name rows, or --all' scores
expect 2 'there is no program' scores characters-gru --lockstep ./nothing
[ -z "$(ls tmp)" ] || failed "left behind: $(ls tmp)"
finish

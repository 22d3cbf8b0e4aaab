#!/usr/bin/env bash
# name: fashion-mnist
# what: Fashion-MNIST: 60,000 pictures of clothes of ten kinds, 28 x 28 in grey, to train on and 10,000 to test (Xiao, Rasul, Vollgraf 2017)
# bytes: 54950048
# licence: MIT (Zalando SE)
# source: http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/
# file: fashion-mnist/
# prepare: lockstep prepare images data/fashion-mnist/train-images-idx3-ubyte data/fashion-mnist/train-labels-idx1-ubyte --test data/fashion-mnist/t10k-images-idx3-ubyte,data/fashion-mnist/t10k-labels-idx1-ubyte --validation 5000 --classes t-shirt,trouser,pullover,dress,coat,sandal,shirt,sneaker,bag,boot -o data/fashion-mnist.h5
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"
want fashion-mnist/train-images-idx3-ubyte 47040016 c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888
want fashion-mnist/train-labels-idx1-ubyte 60008 bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9
want fashion-mnist/t10k-images-idx3-ubyte 7840016 5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b
want fashion-mnist/t10k-labels-idx1-ubyte 10008 0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34
files=()
for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
    home http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/$name-ubyte.gz
    files+=("usr/share/datasets/fashion-mnist/$name-ubyte.gz")
done
debian_package dataset-fashion-mnist "${files[@]}"
recipe "$@"

#!/usr/bin/env bash
# name: series
# what: two series: the daily minimum temperature of Melbourne 1981 to 1990, and the daily price of a stock (Apple) 2015 to 2017
# bytes: 128141
# licence: temperatures: Australian Bureau of Meteorology, free use with its name; prices: facts
# source: https://raw.githubusercontent.com/ (jbrownlee/Datasets, plotly/datasets)
# file: series/
# prepare: lockstep prepare series data/series/daily-min-temperatures.csv --date Date --window 30 --horizon 1 --season 365 -o data/temperature.h5 && lockstep prepare series data/series/finance-charts-apple.csv --date Date --columns AAPL.Close,AAPL.Volume --window 30 --season 5 -o data/stock.h5
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/fetch.inc"
want series/daily-min-temperatures.csv 67921 8b9de63ed6789492bf497625e7f9beb96a63d367b4b0a21754006f749fa5e5da
want series/finance-charts-apple.csv 60220 24c7604edfd5afe862ddb9f9535e2fd7351f43711bfc442bca52055e15e37bcd
home https://raw.githubusercontent.com/jbrownlee/Datasets/master/daily-min-temperatures.csv
home https://raw.githubusercontent.com/plotly/datasets/master/finance-charts-apple.csv
no_package "No package carries these series. Any other table of comma-separated values can be prepared in the same way."
recipe "$@"

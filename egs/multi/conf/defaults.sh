# shellcheck shell=bash disable=SC2034
# Defaults of run.sh for this recipe: its corpora are the data that other recipes have made.
corpus_dir=..

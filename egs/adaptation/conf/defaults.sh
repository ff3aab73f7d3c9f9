# shellcheck shell=bash disable=SC2034
# Defaults of run.sh for this recipe: the corpora are what other recipes prepared.
corpus_dir=..               # folder of the recipes
corpus_conf=conf/pairs
pair=nemo_emodb
method=adapt/two_stage
token_type=none             # source and target may be of two languages

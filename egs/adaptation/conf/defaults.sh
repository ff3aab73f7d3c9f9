# shellcheck shell=bash disable=SC2034
# Defaults of run.sh for this recipe: the corpora are what other recipes prepared, the policy is a pair.
corpus_dir=..               # folder of the recipes
corpus_conf=conf/pairs
policy=nemo_emodb
method=adapt/two_stage
token_type=none             # source and target may be of two languages

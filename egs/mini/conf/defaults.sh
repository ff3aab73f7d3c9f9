# shellcheck shell=bash disable=SC2034
# Defaults of run.sh for this recipe: no weights to fetch, so everything runs offline.
upstream=fbank_no_cmvn
method=sap

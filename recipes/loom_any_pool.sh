#!/bin/bash
# The small generators that loom-any is trained and tried on: recipes/loom_any_pool.sh paintings.zip portraits128-train.zip facades.zip
# One core of an AMD EPYC takes about an hour and a half for them.
set -e
paintings=$1 portraits=$2 facades=$3
common=(--mirror --save-every 250 --keep-snapshots 30)
styleloom train stylegan2 "$portraits" --recipe 32-small --kimg 56 "${common[@]}" --out runs/pool/sg2-32-portraits
styleloom train stylegan2 "$paintings" --recipe 64-small --kimg 32 --seed 3 "${common[@]}" --out runs/pool/sg2-64-paintings
# Held out.
styleloom train stylegan "$paintings" --recipe 32-small --kimg 22 --start-resolution 32 "${common[@]}" --out runs/pool/sg1-32-paintings
styleloom train stylegan2 "$facades" --recipe 64-small --channel-base 1536 --channel-max 128 --kimg 12 --seed 4 "${common[@]}" \
    --out runs/pool/sg2-64-facades

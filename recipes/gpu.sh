#!/usr/bin/env bash
# What one call on a machine with an NVIDIA card does: measure, then train anystyle for a while and portraits-128 for the rest.
#
#   recipes/gpu.sh SECONDS OUT      SECONDS of it all; results into OUT, in files under 16 MB
#
# MEASURE (120) of the seconds are for benchmarks/gpu.py, STYLE_SECONDS (0) for anystyle; trainings side by side slow each other down
# more than they gain. DATA (runs/gpu) holds portraits128*.zip of the images to train on, photos256.zip, styles.zip of
# `python -m recipes.anystyle prepare`, and teachers/; what is missing is not trained. BASE, where it is there, holds
# portraits-128.safetensors and anystyle.safetensors to go on from. PYTHON is the interpreter; DEVICE, STEPS, KIMG and BATCH rehearse it
# all on a processor.
set -uo pipefail
seconds=$1 out=$2
begin=$SECONDS
data=${DATA:-runs/gpu} base=${BASE:-runs/gpu/base} runs=${RUNS:-/tmp/styleloom-runs} python=${PYTHON:-python3}
device=${DEVICE:-cuda} measure=${MEASURE:-120} styles=${STYLE_SECONDS:-0} batch=${BATCH:-64} style_batch=${STYLE_BATCH:-16}
export OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1 PYTHONPATH=src:.${PYTHONPATH:+:$PYTHONPATH}
mkdir -p "$out" "$runs"
portraits=$(ls "$data"/portraits128*.zip 2>/dev/null | head -1)

based() { [ -f "$base/$1.safetensors" ] && echo "--base $base/$1.safetensors"; }

if [ "$measure" -gt 0 ]; then
    timeout $((measure + 60)) "$python" -m benchmarks.gpu --seconds "$measure" --out "$out/gpu.json" ${portraits:+--data "$portraits"}
fi
if [ "$styles" -gt 0 ] && [ -f "$data/styles.zip" ] && [ -f "$data/photos256.zip" ]; then
    length=$([ -n "${STEPS:-}" ] && echo "--num-steps $STEPS" || echo "--seconds $styles")
    timeout -s TERM -k 20 "$styles" "$python" -m recipes.anystyle train "$data/photos256.zip" "$data/styles.zip" \
        --teachers "$data/teachers" --out "$runs/anystyle" --device "$device" --batch "$style_batch" $length $(based anystyle) \
        2>&1 | tail -n 3
fi
left=$((seconds - (SECONDS - begin) - 25))
if [ -n "$portraits" ]; then
    timeout -s TERM -k 20 "$left" "$python" -m recipes.portraits_128 "$portraits" --out "$runs/portraits-128" --device "$device" \
        --batch "$batch" --kimg "${KIMG:-25000}" $(based portraits-128) 2>&1 | tail -n 3
fi
for run in anystyle portraits-128; do
    [ -f "$runs/$run/model.safetensors" ] || continue
    cp "$runs/$run/model.safetensors" "$out/$run.safetensors"
    cp "$runs/$run/log.jsonl" "$out/$run.jsonl"
    cp "$(ls "$runs/$run/samples"/*.png | tail -1)" "$out/$run.png"
done
ls -l "$out"

#!/usr/bin/env bash
# What one call on a machine with an NVIDIA card does: measure, then train portraits-128 and anystyle side by side.
#
#   recipes/gpu.sh SECONDS OUT      SECONDS of it all, of which MEASURE (120) for benchmarks/gpu.py; results into OUT, in files under 16 MB
#
# DATA (runs/gpu) holds portraits128.zip or what `styleloom data prepare` made of it, photos256.zip, styles.zip of `recipes/anystyle.py
# prepare`, and teachers/; whatever is missing is not trained. BASE, where it is there, holds portraits-128.safetensors and
# anystyle.safetensors to go on from. PYTHON is the interpreter; DEVICE, STEPS and BATCH rehearse it all on a processor.
set -uo pipefail
seconds=$1 out=$2
begin=$SECONDS
data=${DATA:-runs/gpu} base=${BASE:-runs/gpu/base} runs=${RUNS:-/tmp/styleloom-runs} python=${PYTHON:-python3}
device=${DEVICE:-cuda} measure=${MEASURE:-120} batch=${BATCH:-64} style_batch=${STYLE_BATCH:-16}
export OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1 PYTHONPATH=src:.${PYTHONPATH:+:$PYTHONPATH}
mkdir -p "$out" "$runs"
portraits=$(ls "$data"/portraits128*.zip 2>/dev/null | head -1)

if [ "$measure" -gt 0 ]; then
    timeout $((measure + 60)) "$python" -m benchmarks.gpu --seconds "$measure" --out "$out/gpu.json" ${portraits:+--data "$portraits"}
fi
left=$((seconds - (SECONDS - begin) - 25))
jobs=()
if [ -f "$data/styles.zip" ] && [ -f "$data/photos256.zip" ]; then
    start=$base/anystyle.safetensors
    timeout -s TERM -k 20 "$left" "$python" -m recipes.anystyle train "$data/photos256.zip" "$data/styles.zip" --teachers "$data/teachers" \
        --out "$runs/anystyle" --device "$device" --batch "$style_batch" $([ -n "${STEPS:-}" ] && echo "--num-steps $STEPS" || echo "--seconds $left") \
        $([ -f "$start" ] && echo --base "$start") >"$out/anystyle.txt" 2>&1 &
    jobs+=($!)
fi
if [ -n "$portraits" ]; then
    start=$base/portraits-128.safetensors
    timeout -s TERM -k 20 "$left" "$python" -m recipes.portraits_128 "$portraits" --out "$runs/portraits-128" --device "$device" \
        --batch "$batch" --kimg "${KIMG:-25000}" \
        $([ -f "$start" ] && echo --base "$start") >"$out/portraits-128.txt" 2>&1 &
    jobs+=($!)
fi
wait "${jobs[@]}"
for run in anystyle portraits-128; do
    [ -f "$runs/$run/model.safetensors" ] || continue
    cp "$runs/$run/model.safetensors" "$out/$run.safetensors"
    cp "$runs/$run/log.jsonl" "$out/$run.jsonl"
    sample=$(ls "$runs/$run/samples"/*.png | tail -1)
    cp "$sample" "$out/$run.png"
done
tail -n 4 "$out"/*.txt
rm "$out"/*.txt
ls -l "$out"

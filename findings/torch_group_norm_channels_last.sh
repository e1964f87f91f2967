#!/usr/bin/env bash
# torch 2.13.0, CPU: group norm with a group a channel (instance norm) of a map that lies channels last is wrong by 0.16 % of a
# standard deviation at 1024 x 1024 and by 8 % at 4096 x 4096. The same map, contiguous, is right to 4e-7.
# It seems natural that the memory format changes speed and rounding only. What helps: torch.var_mean over positions, which is
# right to 4e-7 in both formats, and the normalization written out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --disable-pip-version-check -q torch==2.13.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
import torch.nn.functional as F

torch.manual_seed(0)
print("torch", torch.__version__)
worst = {}
for side in (1024, 4096):
    x = torch.rand(1, 8, side, side)
    right = F.group_norm(x.double(), 8)
    for name, laid in (("contiguous", x), ("channels last", x.to(memory_format=torch.channels_last))):
        worst[side, name] = float((F.group_norm(laid, 8) - right).abs().max())
        variance, mean = torch.var_mean(laid, (2, 3), keepdim=True, correction=0)
        written_out = float(((laid - mean) * (variance + 1e-5).rsqrt() - right).abs().max())
        print(f"{side} {name}: group_norm off by {worst[side, name]:.1e}, written out off by {written_out:.1e}")
        assert written_out < 2e-6
assert worst[4096, "contiguous"] < 2e-6
assert worst[1024, "channels last"] > 1e-4 and worst[4096, "channels last"] > 1e-2, "it is right now"
PY
OMP_NUM_THREADS=1 "$folder/venv/bin/python" "$folder/run.py"

#!/usr/bin/env bash
# gradio 6.31.0: a handler's parameter of type gr.Request is filled in where it stands among the positional parameters, and not where it
# is keyword-only. So `def handler(*sliders, request: gr.Request)`, the form that a handler of any number of inputs suggests, is accepted
# when the page is made and ends in a TypeError at the first click; `def handler(request: gr.Request, *sliders)` works.
# It seems natural that what Gradio finds by its annotation may stand anywhere.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --disable-pip-version-check -q gradio==6.31.0 pillow==12.3.0
cat > "$folder/run.py" <<'PY'
import gradio as gr
from gradio.helpers import special_args

print("gradio", gr.__version__)


def last(*sliders, request: gr.Request):
    return request


def first(request: gr.Request, *sliders):
    return request


with gr.Blocks(analytics_enabled=False) as page:  # both are accepted here
    sliders = [gr.Slider(0, 1) for _ in range(3)]
    for handler in (last, first):
        gr.Button().click(handler, sliders, None)
marker = gr.Request()
told = {}
for handler in (last, first):
    inputs = special_args(handler, [0.1, 0.2, 0.3], request=marker)[0]
    try:
        told[handler.__name__] = handler(*inputs) is marker
    except TypeError as error:
        told[handler.__name__] = str(error)
print(told)
assert told["first"] is True
assert "request" in str(told["last"]), "a keyword-only request is filled in now"
PY
"$folder/venv/bin/python" "$folder/run.py"

"""Directions of ``portraits-128``: from weak labels of the portraits that it was trained on, by least squares.

Words of the prompts say, now and then, what a portrait shows; where the detector sees eyes, nose and mouth says how the face is
turned and how wide it smiles; brightness says where the light comes from. Linear maps of ``vgg19-lite``'s features learn these
from the portraits, and held-out portraits say how well. They are differentiable, so :func:`styleloom.directions.least_squares`
does the rest. A prompt is used as words in counts only.

python -m recipes.portraits_128_directions portraits128.zip -o portraits-128-directions.safetensors
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from torch import Tensor

from styleloom.data import images
from styleloom.nn import mtcnn
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import EMBEDDED, load_features
from styleloom.papers import directions, stylegan2
from styleloom.tasks.attribute_directions import from_labeler

GENERATOR = "portraits-128"
HELD_OUT = 500
LAYERS, GRID = ("relu2_1", "relu3_1", "relu4_1"), 4
# Of each attribute words for it, and words against it; portraits with neither are left out, those with both too.
WORDS: dict[str, tuple[str, str]] = {
    "beard": ("beard bearded goatee", "woman female girl lady princess queen clean shaven"),
    "feminine": ("woman female girl lady princess queen her she", "man male guy king his he dwarf beard"),
    "age": ("old elderly aged grandfather grandmother", "young teenage teen cute girl boy"),
    "long-hair": ("long", "bald short buzz"),
    "bald": ("bald", "hair haired long curly"),
    "dark-hair": ("black dark", "blonde blond white silver gray red pink"),
    "blond": ("blonde blond", "black brown red dark bald"),
    "red-hair": ("red ginger redhead", "black blonde blond white grey"),
    "gray-hair": ("grey gray silver white", "black brown blonde blond red"),
    "green-skin": ("orc goblin green", "pale princess man woman"),
    "pale": ("pale vampire goth", "dark orc tanned black"),
}
REACH = dict(gradients=2.5, planes=3.5)  # strengths to which images stay sensible
# Shape and light follow gradients; hair and beards, which come and go as a whole, follow planes in w.
BY_GRADIENTS = ("yaw", "smile", "tilt", "light", "pale", "green-skin")


def features_of(network: Features, image: Tensor) -> Tensor:
    """Images [N, 3, 128, 128] in [0, 1] -> [N, D]: features of three layers on a grid of 4 x 4."""
    return torch.cat([F.adaptive_avg_pool2d(each, GRID).flatten(1) for each in network(image, LAYERS).values()], 1)


def shapes(image: Tensor) -> dict[str, float]:
    """What the detector's landmarks say: yaw (nose beside the middle of the eyes) and smile (width of the mouth)."""
    found = mtcnn.find(image)
    if not found:
        return {}
    left, right, nose, corner, other = found[0].landmarks
    distance = float((right - left).norm())
    middle = (left + right) / 2
    return dict(
        yaw=float(nose[0] - middle[0]) / distance,
        smile=float((other - corner).norm()) / distance - 0.5 * float((corner + other)[1] / 2 - nose[1]) / distance,
        tilt=float(right[1] - left[1]) / distance,
    )


def light(image: Tensor) -> Tensor:
    """How much brighter the right half of the face is than the left: [N]."""
    middle = image[:, :, 40:110].mean((1, 2))
    return middle[:, 66:104].mean(1) - middle[:, 24:62].mean(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--damping", type=float, default=0.1)
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    network = load_features(EMBEDDED).prepare(torch.device("cpu"), torch.float32)
    read, told, prompts = [], [], []
    with zipfile.ZipFile(given.data) as archive:
        table = {row["file"]: row["prompt"].lower() for row in csv.DictReader(io.StringIO(archive.read("prompts.csv").decode()))}
        for name in sorted(table):
            image = images.read(io.BytesIO(archive.read(name)), name=name)
            with torch.no_grad():
                read.append(features_of(network, image))
            told.append(shapes(image) | dict(light=float(light(image))))
            prompts.append(set(re.findall(r"[a-z]+", table[name])))
    x = torch.cat(read)
    mean, spread = x.mean(0), x.std(0).clamp(min=1e-6)
    z = ((x - mean) / spread).numpy()
    train = np.arange(len(z)) < len(z) - HELD_OUT
    weights, quality = {}, {}
    for name, (positive, negative) in WORDS.items():
        yes = np.array([bool(words & set(positive.split())) for words in prompts])
        no = np.array([bool(words & set(negative.split())) for words in prompts])
        used = yes != no
        fit = LogisticRegression(C=3e-4, class_weight="balanced", max_iter=300).fit(z[train & used], yes[train & used])
        test = ~train & used
        quality[name] = dict(
            auc=round(float(roc_auc_score(yes[test], fit.decision_function(z[test]))), 3), examples=int(yes.sum())
        )
        weights[name] = torch.from_numpy(fit.coef_[0]).float()
    for name in ("yaw", "smile", "tilt", "light"):
        values = np.array([each.get(name, np.nan) for each in told])
        used = np.isfinite(values)
        fit = Ridge(alpha=3000).fit(z[train & used], values[train & used])
        test = ~train & used
        quality[name] = dict(r2=round(float(fit.score(z[test], values[test])), 3), examples=int(used.sum()))
        weights[name] = torch.from_numpy(fit.coef_).float() / float(values[used].std())
    print(json.dumps(quality))
    generator = stylegan2.load(GENERATOR)
    linear = torch.stack(list(weights.values()), 1) / spread[:, None]

    def label(image: Tensor) -> Tensor:
        return (features_of(network, image) - mean) @ linear

    for step in directions.least_squares(generator, label, list(weights), samples=given.samples, damping=given.damping):
        if step.index % 80 == 0:
            print(step.index, round(step.seconds), flush=True)
    planes = from_labeler(generator, label, list(weights), samples=4_000)
    found = {name: step.directions[name] if name in BY_GRADIENTS else planes[name] for name in weights}
    reach = {name: REACH["gradients" if name in BY_GRADIENTS else "planes"] for name in found}
    found = {name: replace(each, low=-reach[name], high=reach[name]) for name, each in found.items()}
    directions.save(found, given.out, "CC-BY-4.0")
    measured = directions.effects(generator, found, label, list(found), samples=60)
    told_of = {
        name: dict(quality[name], correlation=round(float(measured.correlation[i, i]), 3), spill=measured.spill(name, name))
        for i, name in enumerate(found)
    }
    print(json.dumps(told_of, indent=1))
    if given.report:
        given.report.write_text(json.dumps(told_of, indent=1) + "\n")


if __name__ == "__main__":
    main()

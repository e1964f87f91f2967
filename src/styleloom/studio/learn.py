"""The tab that tells the arc of ideas, each with the file that has it."""

from __future__ import annotations

import gradio as gr

SOURCE = "src/styleloom/papers"
CHAPTERS = (
    (
        "Optimize the pixels",
        "Gatys 2016",
        f"{SOURCE}/gatys",
        "A network that names objects also knows textures. Start from the photograph and change its pixels until deep features "
        "still tell the photograph, and the statistics of all features tell the painting.",
    ),
    (
        "Train a network to do it in one pass",
        "Johnson 2016",
        f"{SOURCE}/johnson.py",
        "The descent takes minutes for each picture. Train a network by the same loss instead: then a picture takes a moment, in "
        "one style.",
    ),
    (
        "Many styles, then any style",
        "Dumoulin 2017, Ghiasi 2017, AdaIN 2017",
        f"{SOURCE}/ghiasi",
        "Scale and shift after each normalization are enough to tell styles apart. Give each style its own, or let a second "
        "network read them off the painting.",
    ),
    (
        "Generators that know styles",
        "StyleGAN 2019, StyleGAN2 2020",
        f"{SOURCE}/stylegan2",
        "Nothing says that scale and shift must come from a painting. A vector w sets them, layer by layer: coarse layers pose a "
        "face, fine ones color it.",
    ),
    (
        "Optimize a w",
        "Image2StyleGAN 2019",
        f"{SOURCE}/image2stylegan",
        "The first idea again, in another space: start from the average face and change w until the generator's image is the "
        "photograph.",
    ),
    (
        "Train the optimizer itself",
        "The learned optimizer",
        f"{SOURCE}/learned_optimizer",
        "The second idea, applied to the fifth: a network proposes each step of the descent. What took hundreds of steps takes a "
        "few tens.",
    ),
    (
        "Edit what was found",
        "InterFaceGAN, GANSpace, SeFa; ours",
        f"{SOURCE}/directions",
        "In w, straight lines mean something. Along one a smile grows, along another hair turns gray; the photograph takes it "
        "back.",
    ),
)


def tab() -> None:
    """Lay out the tab."""
    parts = [
        f'<li><h3>{title}</h3><p class="paper">{paper}</p><p>{text}</p><p class="file"><code>{file}</code></p></li>'
        for title, paper, file, text in CHAPTERS
    ]
    gr.HTML(f'<ol class="arc">{"".join(parts)}</ol>')

"""
4. Generators that know styles
==============================

Nothing says that scale and shift must come from a painting. In StyleGAN (Karras et al. 2019) a vector w sets them, layer by
layer: coarse layers pose a face, fine ones color it. Here the first column gives the coarse layers, the first row all others.
"""

import matplotlib.pyplot as plt
import torch

import styleloom as sl

generator = sl.load("portraits-128", sl.Generator)
rows, columns = generator.map([7, 3], truncation_psi=0.7), generator.map([12, 25, 40], truncation_psi=0.7)
mixed = torch.cat([sl.cross(generator, row[None], columns, "coarse") for row in rows])
pictures = next(generator.render(mixed))
for part in list(generator.render(mixed))[1:]:
    pictures = torch.cat([pictures, part])

_, axes = plt.subplots(2, 3, figsize=(6, 4))
for axis, image in zip(axes.flat, pictures, strict=True):
    axis.imshow(image.movedim(0, -1).clamp(0, 1))
    axis.axis("off")

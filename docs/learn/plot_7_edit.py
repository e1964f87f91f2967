"""
7. Edit what was found
======================

In w, straight lines mean something (InterFaceGAN, GANSpace, SeFa). Along one a smile grows, along another the head turns; the
photograph takes back what changed.
"""

import matplotlib.pyplot as plt

import styleloom as sl
from styleloom.data.bundled import portraits

generator = sl.load("portraits-128", sl.Generator)
photo = portraits()[5:6]
found = sl.invert(generator, photo, num_steps=40, prior_weight=0.02)
names = ("", "smile", "yaw", "age")

_, axes = plt.subplots(1, len(names), figsize=(9, 2.6))
for axis, name in zip(axes, names, strict=True):
    edited = next(generator.render(sl.edit(generator, found.ws, {name: 2.0}) if name else found.ws))
    result = photo + edited - found.image  # only what changed goes back
    axis.imshow(result[0].movedim(0, -1).clamp(0, 1))
    axis.set_title(name or "photograph")
    axis.axis("off")

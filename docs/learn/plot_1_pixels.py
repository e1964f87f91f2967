"""
1. Optimize the pixels
======================

A network that tells objects apart knows textures as well. Gatys, Ecker and Bethge (2016) start from the photograph and change
its pixels until deep features still tell the photograph, while the statistics of all features tell the painting.
"""

import matplotlib.pyplot as plt

import styleloom as sl

photo = sl.resize_to_fit(sl.read("coffee"), 192)
style = sl.draw("wave", 192)
config = sl.gatys.configure("draft", first_steps=60, steps=30, first_size=96, size=192)

# %%
# Each step yields the image so far and the loss. The descent is L-BFGS, in two sizes, from small to large.
losses = []
for step in sl.gatys.steps(photo, style, config):
    losses.append(sum(step.losses.values()))

_, axes = plt.subplots(1, 3, figsize=(9, 3))
for axis, image, title in zip(axes, (photo, style, step.image), ("photograph", "style", "painted"), strict=True):
    axis.imshow(image[0].movedim(0, -1).clamp(0, 1))
    axis.set_title(title)
    axis.axis("off")

# %%
# The loss, step by step. A network could learn where this ends: that is the next chapter.
plt.figure(figsize=(6, 2.5))
plt.semilogy(losses)
plt.xlabel("step")
plt.ylabel("loss")
plt.tight_layout()

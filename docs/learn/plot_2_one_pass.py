"""
2. Train a network to do it in one pass
=======================================

The descent takes minutes for each picture. Johnson, Alahi and Fei-Fei (2016) train a network by the very same loss: after that,
a picture takes a moment, in one style.
"""

import time

import matplotlib.pyplot as plt

import styleloom as sl

photo = sl.resize_to_fit(sl.read("coffee"), 384)
began = time.perf_counter()
painted = sl.stylize(photo, "johnson-mosaic", "johnson")
print(f"{time.perf_counter() - began:.2f} s")

_, axes = plt.subplots(1, 2, figsize=(9, 3.2))
for axis, image in zip(axes, (photo, painted), strict=True):
    axis.imshow(image[0].movedim(0, -1))
    axis.axis("off")

# %%
# To train one of your own: ``styleloom train johnson photos/ --style painting.jpg --base anystyle --out runs/mine``.

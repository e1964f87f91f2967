"""
3. Many styles, then any style
==============================

Dumoulin, Shlens and Kudlur (2017) find that scale and shift after each normalization are enough to tell styles apart, so that
one network holds many. Ghiasi et al. (2017) read them off the painting with a second network, and AdaIN (Huang and Belongie
2017) takes the statistics of the painting's own features: any style, without training.
"""

import matplotlib.pyplot as plt

import styleloom as sl

photo = sl.resize_to_fit(sl.read("cat"), 320)
looks = {
    "two styles, half and half": sl.stylize(photo, ["wave", "gilded"], "dumoulin", weights=[1, 1]),
    "read off the painting": sl.stylize(photo, sl.draw("swirls", 256), "ghiasi"),
    "its statistics": sl.stylize(photo, sl.draw("swirls", 256), "adain"),
}
_, axes = plt.subplots(1, 3, figsize=(10, 2.6))
for axis, (title, image) in zip(axes, looks.items(), strict=True):
    axis.imshow(image[0].movedim(0, -1))
    axis.set_title(title, fontsize=9)
    axis.axis("off")

# %%
# The question behind all of them is *who sets scale and shift*. The next chapter gives an answer that needs no painting.

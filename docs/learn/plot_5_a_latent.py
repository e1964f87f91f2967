"""
5. Optimize a w
===============

The first idea again, in another space. Image2StyleGAN (Abdal, Qin and Wonka 2019) starts from the average face and changes w
until the generator's image is the photograph.
"""

import matplotlib.pyplot as plt

import styleloom as sl
from styleloom.data.bundled import portraits

generator = sl.load("portraits-128", sl.Generator)
photo = portraits()[2:3]
found = sl.invert(generator, photo, optimizer="adam", num_steps=60)
print(found)

_, axes = plt.subplots(1, 3, figsize=(8, 2.6))
for axis, image in zip(axes[:2], (photo, found.image), strict=True):
    axis.imshow(image[0].movedim(0, -1))
    axis.axis("off")
axes[2].semilogy(found.losses[:, 0])
axes[2].set_xlabel("step of Adam")
plt.tight_layout()

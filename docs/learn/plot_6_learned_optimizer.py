"""
6. Train the optimizer itself
=============================

The second idea, applied to the fifth: a network proposes each step. It sees the gradient in the eigenbasis of the generator,
momenta, a quasi-Newton step, and both images. What takes Adam a hundred steps takes it a few tens.
"""

import matplotlib.pyplot as plt

import styleloom as sl
from styleloom.data.bundled import portraits

generator = sl.load("portraits-128", sl.Generator)
photo = portraits()[2:3]
runs = {name: sl.invert(generator, photo, optimizer=name, num_steps=60) for name in ("adam", "learned")}

plt.figure(figsize=(6, 3))
for name, found in runs.items():
    plt.semilogy(found.losses[:, 0], label=name)
plt.xlabel("step")
plt.ylabel("loss")
plt.legend()
plt.tight_layout()

# %%
# For a generator that no optimizer was trained on there is ``loom-any``: :doc:`../inversion` tells how it is used and what it
# costs.

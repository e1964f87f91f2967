"""The reading list: one paper, one file or folder. By thread, and in a thread by year.

Style transfer:

- :mod:`~styleloom.papers.gatys` (2016): optimize the pixels of an image until its features are those of one image and its Gram
  matrices those of another.
- :mod:`~styleloom.papers.johnson`, :mod:`~styleloom.papers.super_resolution` (2016): train a network to do it in one pass.
- :mod:`~styleloom.papers.dumoulin` (2017): many styles in one network; each has its own scale and shift of the features.
- :mod:`~styleloom.papers.ghiasi` (2017): a second network predicts scale and shift from the style image.
- :mod:`~styleloom.papers.adain` (2017): scale and shift are the statistics of the style image's own features.

Image translation:

- :mod:`~styleloom.papers.pix2pix` (2017): learn the loss, too: a discriminator tells made pairs of images from real ones.
- :mod:`~styleloom.papers.cyclegan` (2017): without pairs; an image translated there and back has to be the same again.
- :mod:`~styleloom.papers.pix2pixhd` (2018): larger images, by generators and discriminators at several resolutions.

Generators:

- :mod:`~styleloom.papers.progan` (2018): images from noise, grown from 4 px upwards.
- :mod:`~styleloom.papers.stylegan` (2019): a learned w sets scale and shift, layer by layer.
- :mod:`~styleloom.papers.stylegan2` (2020): w scales the weights instead of the features.
- :mod:`~styleloom.papers.ada` (2020): augment what the discriminator sees, so that few images suffice.

Inversion and editing:

- :mod:`~styleloom.papers.image2stylegan` (2019): optimize w, one for each layer, until the generator makes a given image.
- :mod:`~styleloom.papers.indomain` (2020): train an encoder to start nearby, and stay near to its latents.
- :mod:`~styleloom.papers.local_edit` (2020): fit only a masked part of an image; the generator fills the rest.
- :mod:`~styleloom.papers.directions` (2020, 2021): directions of w along which one attribute of an image changes.
- :mod:`~styleloom.papers.pti` (2022): tune the generator a little around one w, until it makes the image there.
- :mod:`~styleloom.papers.learned_optimizer` (StyleLoom's own): train the optimizer itself.
"""

import lazy_loader

MODULES = (
    "gatys", "johnson", "super_resolution", "dumoulin", "ghiasi", "adain", "pix2pix", "cyclegan", "pix2pixhd", "progan",
    "stylegan", "stylegan2", "ada", "image2stylegan", "indomain", "local_edit", "directions", "pti",
    "learned_optimizer",
)  # fmt: skip
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, MODULES)

"""One paper, one file or folder, in the order of their ideas.

1. :mod:`~styleloom.papers.gatys` (2016): optimize the pixels of an image until its features are those of one and its Gram
   matrices those of another.
2. :mod:`~styleloom.papers.johnson` and :mod:`~styleloom.papers.super_resolution` (2016): train a network to do it in one pass.
3. :mod:`~styleloom.papers.dumoulin` (2017): many styles in one network; each sets scale and shift of its features.
4. :mod:`~styleloom.papers.ghiasi` (2017): a network that looks at the style *image* predicts them.
5. :mod:`~styleloom.papers.adain` (2017): the style image's own statistics are them.
6. :mod:`~styleloom.papers.pix2pix` (2017): learn the loss too: a discriminator tells made pairs of images from real ones.
7. :mod:`~styleloom.papers.cyclegan` (2017): without pairs; what goes there and back has to be what it was.
8. :mod:`~styleloom.papers.pix2pixhd` (2018): larger, by discriminators and generators at several sizes.
9. :mod:`~styleloom.papers.progan` (2018): images from noise, grown from 4 px upwards.
10. :mod:`~styleloom.papers.stylegan` (2019): a learned w sets scale and shift, layer by layer.
11. :mod:`~styleloom.papers.stylegan2` (2020): w scales the weights instead, and no norm can be cheated.
12. :mod:`~styleloom.papers.ada` (2020): augment what the discriminator sees, so that few images suffice.
13. :mod:`~styleloom.papers.image2stylegan` (2019): optimize w, a w for each layer, until the generator makes a given image.
14. :mod:`~styleloom.papers.indomain` (2020): train an encoder to begin nearby, and stay near to what it says.
15. :mod:`~styleloom.papers.local_edit` (2020): meet parts of images, and let the generator make the rest.
16. :mod:`~styleloom.papers.directions` (2020, 2021): directions of w along which one thing about an image changes.
17. :mod:`~styleloom.papers.pti` (2022): change the generator a little around one w, until it meets an image there.
18. :mod:`~styleloom.papers.learned_optimizer` (ours): train the optimizer itself.
"""

import lazy_loader

MODULES = (
    "gatys", "johnson", "super_resolution", "dumoulin", "ghiasi", "adain", "pix2pix", "cyclegan", "pix2pixhd", "progan",
    "stylegan", "stylegan2", "ada", "image2stylegan", "indomain", "local_edit", "directions", "pti",
    "learned_optimizer",
)  # fmt: skip
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, MODULES)

"""One paper, one file, in the order of their ideas. The generators' networks have files of their own beside them.

1. :mod:`~styleloom.papers.gatys` (2016): optimize the pixels of a picture until its features are those of one and its Gram
   matrices those of another.
2. :mod:`~styleloom.papers.johnson` and :mod:`~styleloom.papers.super_resolution` (2016): train a network to do it in one pass.
3. :mod:`~styleloom.papers.dumoulin` (2017): many styles in one network; each sets scale and shift of its features.
4. :mod:`~styleloom.papers.ghiasi` (2017): a network that looks at the style *picture* predicts them.
5. :mod:`~styleloom.papers.adain` (2017): the style picture's own statistics are them.
6. :mod:`~styleloom.papers.progan` (2018): pictures from noise, grown from 4 px upwards.
7. :mod:`~styleloom.papers.stylegan` (2019): a learned w sets scale and shift, layer by layer.
8. :mod:`~styleloom.papers.stylegan2` (2020): w scales the weights instead, and no norm can be cheated.
"""

"""What generators of every paper share."""

import numpy as np

from styleloom.nn.generators import mixing_layer


def test_style_mixing_begins_at_every_layer_alike() -> None:
    rng = np.random.RandomState(0)
    layers = np.array([mixing_layer(rng, 5, 0.6) for _ in range(20_000)])
    shares = np.bincount(layers, minlength=6) / len(layers)
    np.testing.assert_allclose(shares, [0, 0.15, 0.15, 0.15, 0.15, 0.4], atol=0.01)
    assert {mixing_layer(rng, 1, 1.0) for _ in range(20)} == {1} and 5 not in {mixing_layer(rng, 5, 1.0) for _ in range(200)}

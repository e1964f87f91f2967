"""Any optimizer of PyTorch inverts a generator: python examples/my_own_optimizer.py face.png"""

import sys

import torch

import styleloom as sl


def main(photo: str, steps: int = 50) -> dict[str, float]:
    """The loss that each reaches in so many steps."""
    generator = sl.load("toonfaces-64", sl.Generator)
    reached = {}
    for optimizer in ("learned", "adam", torch.optim.RAdam):
        found = sl.invert(generator, photo, optimizer=optimizer, num_steps=steps)
        name = optimizer if isinstance(optimizer, str) else optimizer.__name__
        reached[name] = float(found.losses[-1].mean())
        print(f"{name:>8}: {reached[name]:.4f}")
    return reached


if __name__ == "__main__":
    main(sys.argv[1])

"""One network, many pictures: a painter that is made ready once. python examples/my_own_painter.py wave a.jpg b.jpg"""

import sys
from pathlib import Path

import styleloom as sl


def main(style: str, *photos: str) -> None:
    """Paint each photograph beside itself, as NAME-painted.png."""
    painter = sl.ghiasi.painter(sl.ghiasi.configure(alpha=0.9), [sl.read(style)])
    for name in photos:
        sl.write(painter(sl.read(name)), Path(name).with_name(f"{Path(name).stem}-painted.png"))


if __name__ == "__main__":
    main(*sys.argv[1:])

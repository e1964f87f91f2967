"""Paint a folder of photographs in one style: python examples/paint_a_folder.py photos/ painting.jpg painted/"""

import sys

import styleloom as sl


def main(photos: str, style: str, out: str) -> None:
    """Paint all of them; what fails is named, and a second call does what is missing."""
    for event in sl.jobs.stylize(photos, style, out=out, method="ghiasi"):
        if isinstance(event, sl.jobs.ItemDone):
            print(event.item, "->", event.out[0])
        elif isinstance(event, sl.jobs.ItemFailed):
            print(event.item, "failed:", event.reason)


if __name__ == "__main__":
    main(*sys.argv[1:])

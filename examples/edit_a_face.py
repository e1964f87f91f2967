"""A face with a smile, back in its photograph: python examples/edit_a_face.py photo.jpg smiling.png"""

import sys

import styleloom as sl


def main(photo: str, out: str, steps: int = 30) -> None:
    """Find the face with the learned optimizer, move it along a direction, and put back what changed."""
    loading = sl.jobs.LoadOptions(num_steps=steps)
    for event in sl.jobs.edit("portraits-128", photo, {"smile": 2.0}, out=out, loading=loading):
        print(event.as_dict())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

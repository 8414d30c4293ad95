"""Train a model: `python train.py entity=disease data.root=DIR`."""

import sys

from multiclin.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))

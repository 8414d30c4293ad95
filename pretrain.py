"""Learn from texts without mentions: `python pretrain.py input=DIR model=small`."""

import sys

from multiclin.cli import main

if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]]))

"""Score predictions: `python evaluate.py gold=PATH pred=PATH entity=disease`."""

import sys

from multiclin.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))

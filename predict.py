"""Find mentions in texts: `python predict.py ckpt=PATH input=DIR output=DIR`."""

import sys

from multiclin.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))

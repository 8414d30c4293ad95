"""Multilingual clinical named entity recognition, from character-offset corpora to official scores.

The rooms and the order in which they may import each other are in CONTRIBUTING.md. Importing
this package imports no torch: the corpus tools and the scorer answer in a blink.
"""

__version__ = "0.1.0"

"""What is wrong with a corpus before anybody trains on it: found, told, and mended in a copy.

Reading for training stops a file at its first impossible offset; here nothing stops anything. Every
set is read whole, every finding has a kind, a place, and a remedy (`findings`). Errors make a
corpus dirty; notes are properties of real corpora that a model meets but nobody has to mend.
"""

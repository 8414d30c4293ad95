"""Fuzzing: what random and mutated input may do, and what must hold whatever it is.

A target is a function of bytes that makes its input from them and asserts what `targets` says of
it. Of what it calls, only a `MulticlinError` may come out, where a user's file is read. The same
targets run in three ways:

* `test_targets.py`, without atheris: what once was found, seeds, and some hundred mutations.
* `python -m tests.fuzzing all --runs 20000`: guided by the coverage of `multiclin` (atheris, which
  is libFuzzer for Python), one process per target.
* by hand: `TARGETS["brat"](data)`.

Input is made by the few lines of `source`, not by hypothesis: bytes below 128 stand for themselves,
so that seeds and findings can be read, and a document takes 15 µs, where one through hypothesis'
`fuzz_one_input` takes 460 µs.
"""

"""Scores of predicted mentions: the official numbers, and what searches and tables need besides.

`counts` and `overlap` hold the two measures per document, both additive over documents; `official`
puts them together exactly as the shared task's scorer does (FACTS section 3); `breakdown` averages
them by document, language and subcorpus; `seqeval` scores tag sequences as the paper's search does.
"""

"""How good predictions are, how sure that is, where they fail: for one system or several.

`sources` opens an `Evaluation` (gold and predictions of the same documents) from the folder of a
run or from files; `tables` makes of it one DataFrame per question, and every number on a page is
out of these; `figures`, `report` and `documents` draw the pages; `comparison` sets systems side by
side, `published` runs beside the paper's tables. pandas and plotly live here; torch does not.
"""

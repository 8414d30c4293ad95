"""Which models make an ensemble, and several as one model: `multiclin ensemble`.

`candidates` predicts each model once and scores any ensemble of them, `selection` chooses one
greedily, `soup` averages weights instead of emissions; `commands` is the command line. Predicting
with an ensemble needs none of it: see `multiclin.ensemble`.
"""

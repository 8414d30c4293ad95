"""How fast: ours against the peers, on the same model, data and machine, in turn.

`race` starts each contestant as a process of its own (`contestants`) and lets them run one after
the other, round after round; `stages` takes our own way apart; `commands` is `multiclin bench`.
"""

"""How fast: ours against the peers, on the same model, data and machine, in turn.

`commands` is `multiclin bench`, and `races` what each of its commands does. `entry` writes what all
load: one model, one file of texts. `race` starts each contestant as a process of its own
(`contestants`) and lets them run one after the other, round after round; `prediction`, `training`
and `peers` are what they do, `stages` and `bound` take our own way apart and hold it against the
hardware; `telling` makes tables of it.
"""

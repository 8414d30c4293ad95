"""Hyperparameter search: the Optuna sweeper, pruning and study reports.

A sweeper class in here is announced under `[project.entry-points."hydra.plugins"]` in
pyproject.toml. Hydra imports every announced class at the start of every command, so its module
imports neither optuna nor torch at the top.
"""

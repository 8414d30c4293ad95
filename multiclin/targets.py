"""All that a `_target_` may name, in our configs or a stranger's: whole names, no families.

A family such as `multiclin.*` would be shorter, and hold everything below it: with the families
that once stood here, a config could start `TorchCheckpointIO.load_checkpoint` on a pickle, and that
pickle anything. So each class is named as its package shows it. Hydra itself adds the handlers
that it logs with, and its plugins. (FACTS 5.)
"""

from __future__ import annotations

_FAMILIES = {
    "multiclin": (
        *("averaging.ExponentialAverage", "averaging.TailAverage", "divergence.Divergence"),
        *("logs.Visible", "optimization.linear_schedule"),
        *("running.Progress", "saving.Saving", "sweeps.Summary", "tracking.WandbLogger"),
    ),
    "pytorch_lightning": ("Trainer",),
    "pytorch_lightning.callbacks": (
        # None that averages weights: best.ckpt would get those of the last step (`averaging`).
        *("DeviceStatsMonitor", "EarlyStopping", "GradientAccumulationScheduler"),
        *("LearningRateFinder", "LearningRateMonitor"),
        *("ModelCheckpoint", "ModelSummary", "RichModelSummary", "RichProgressBar"),
        *("SpikeDetection", "ThroughputMonitor", "Timer", "TQDMProgressBar"),
    ),
    "pytorch_lightning.loggers": (
        *("CometLogger", "CSVLogger", "MLFlowLogger", "TensorBoardLogger", "WandbLogger"),
    ),
    "pytorch_lightning.plugins": (
        *("BitsandbytesPrecision", "DeepSpeedPrecision", "DoublePrecision", "FSDPPrecision"),
        *("HalfPrecision", "MixedPrecision", "TransformerEnginePrecision", "TorchSyncBatchNorm"),
    ),
    "pytorch_lightning.plugins.environments": (
        *("KubeflowEnvironment", "LightningEnvironment", "LSFEnvironment", "MPIEnvironment"),
        *("SLURMEnvironment", "TorchElasticEnvironment"),
    ),
    "pytorch_lightning.profilers": (
        *("AdvancedProfiler", "PassThroughProfiler", "PyTorchProfiler", "SimpleProfiler"),
    ),
    "pytorch_lightning.strategies": (
        *("DDPStrategy", "DeepSpeedStrategy", "FSDPStrategy", "ModelParallelStrategy"),
        "SingleDeviceStrategy",
    ),
    "optuna.pruners": (
        *("HyperbandPruner", "MedianPruner", "NopPruner", "PatientPruner", "PercentilePruner"),
        *("SuccessiveHalvingPruner", "ThresholdPruner", "WilcoxonPruner"),
    ),
    "torch.optim": (
        *("Adadelta", "Adafactor", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "Muon"),
        *("NAdam", "RAdam", "RMSprop", "SGD"),
    ),
}

EXECUTION_WHITELIST = tuple(
    f"{package}.{name}" for package, names in _FAMILIES.items() for name in names
)
"""The names, as Hydra takes them."""

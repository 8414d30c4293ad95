"""The faults, as data: what goes wrong, the commands, what they say, their exit status.

A script is Bash; `PREAMBLE` of `trial.py` has what it calls. `$RUN` is a finished training of two
epochs on `$CORPUS`, and the current folder is empty and its own.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """One fault.

    Attributes:
        name: What goes wrong.
        script: How it is brought about.
        says: A regular expression of what is said of it, on standard error.
        status: The exit status of the script: 2, or 0 for a run that is finished all the same.
        without: A glob of files that must not be there afterwards.
    """

    name: str
    script: str
    says: str
    status: int = 2
    without: str = ""


FULL = r"No space left on device; free some space there, or name another place$"
READ_ONLY = r"Read-only file system; name a place where this user may write$"
DOCUMENTS = r"MultiClinNER-\w\w-train-symptom-\d{4}(, MultiClinNER-\w\w-train-symptom-\d{4})*"

TABLE = (
    # A full disk
    Fault(
        "the disk is full: a checkpoint",
        "disk 1M out; train hydra.run.dir=out",
        rf"^error: cannot write out/checkpoints/\w+\.ckpt: {FULL}",
        without="out/checkpoints/new.ckpt",
    ),
    Fault(
        "the disk is full: the cache",
        "disk 100k cache; train data.cache=cache",
        rf"^error: cannot write cache/\w+: {FULL}",
        without="cache/*/about.json",
    ),
    Fault(
        "the disk is full: predictions",
        "disk 60k out; predict output=out",
        rf"^error: cannot write out: {FULL}",
        without="out/predictions.tsv",
    ),
    Fault(
        "the disk is full: a report",
        "disk 100k out; multiclin report $RUN --output out",
        rf"^error: cannot write out/report\.html: {FULL}",
        without="out/report.html",
    ),
    Fault(
        "the disk is full: a corpus in another format",
        "disk 99k out; multiclin corpus convert $CORPUS out/a --from multiclinner --to brat",
        rf"^error: cannot write out/a/\S+: {FULL}",
        without="out/*",
    ),
    Fault(
        "the disk is full: what is printed",
        "evaluate gold=$GOLD pred=$RUN/predictions/test.tsv > /dev/full",
        rf"^error: cannot write standard output: {FULL}",
    ),
    # A place that cannot be written
    Fault(
        "a read-only folder: a training",
        "mkdir out; read_only out; train hydra.run.dir=out/run",
        rf"^error: cannot write out/run: {READ_ONLY}",
    ),
    Fault(
        "a read-only folder: the cache",
        "mkdir out; read_only out; train data.cache=out/cache",
        rf"^error: cannot write out/cache/vocabulary-\w+\.lock: {READ_ONLY}",
    ),
    Fault(
        "a read-only folder: predictions",
        "mkdir out; read_only out; predict output=out/p",
        rf"^error: cannot write out/p: {READ_ONLY}",
    ),
    Fault(
        "a file where a folder is to be",
        "touch out; train hydra.run.dir=out/run",
        r"^error: cannot write out/run: Not a directory; a file stands where a folder is to be$",
    ),
    Fault(
        "the folder of a run is removed while it trains",
        "train hydra.run.dir=out trainer.max_epochs=9 & said 'epoch 1 of'; rm -r out; wait $!",
        r"^error: cannot write out(/checkpoints/\w+\.ckpt: No such file or directory"
        r"|: the folder has been removed)$",
    ),
    # Encoders
    Fault(
        "an encoder that is not here, and no hub",
        "finetune model.encoder=BSC-LT/MrBERT-biomed",
        r"^error: model.encoder=BSC-LT/MrBERT-biomed is neither a directory here nor reachable on "
        r"the Hugging Face hub. With network elsewhere: `hf download \S+ --local-dir DIR`, copy",
    ),
    Fault(
        "a folder of an encoder that is not there",
        "finetune model.encoder=./nowhere",
        r"^error: model.encoder=./nowhere: there is no such directory; give one with config.json",
    ),
    Fault(
        "an encoder without a fast tokenizer",
        "cp -r $RUN/model slow; rm slow/tokenizer.json; finetune model.encoder=slow",
        r"^error: model.encoder=slow has no fast tokenizer \(tokenizer.json\), which gives the",
    ),
    Fault(
        "an encoder shorter than the window",
        "finetune model.encoder=$RUN/model window.size=9000",
        r"^error: window.size=9000 is longer than the 8192 positions of this encoder; say",
    ),
    Fault(
        "an encoder whose weights are a pointer of git-lfs",
        "cp -r $RUN/model lfs; echo version > lfs/model.safetensors; finetune model.encoder=lfs",
        r"^error: model.encoder=lfs cannot be loaded \(.*\); copy it again \(a git clone without",
    ),
    # Memory
    Fault(
        "no memory: a training",
        "ulimit -v 20000000; train data.batch_size=1 model.config.intermediate_size=100000000",
        r"^error: a batch of 1 windows does not fit in memory \(.*DefaultCPUAllocator.*\)\n"
        r"hint: a smaller window.size or a smaller encoder needs less$",
    ),
    Fault(
        "no memory: a prediction",
        "broken widen $RUN/model wide; ulimit -v 20000000;"
        " predict ckpt=wide output=out batch_size=512",
        r"^error: a batch of 512 windows does not fit in memory \(.*DefaultCPUAllocator.*\); say "
        r"batch_size=256: it changes no prediction$",
        without="out/*",
    ),
    # No numbers
    Fault(
        "a loss that is no number",
        "train optim.learning_rate=1e30",
        rf"^error: in optimizer step \d+ the loss is no number on windows of {DOCUMENTS}: lower "
        r"optim.learning_rate .*; callbacks.divergence.skip=N leaves up to N such steps out$",
    ),
    Fault(
        "more of them than may be left out",
        "train optim.learning_rate=1e30 callbacks.divergence.skip=2",
        rf"the loss is no number on windows of {DOCUMENTS}: left out, 1 of at most 2\n(.*\n)*"
        r"error: .*, and 2 such steps have been left out: lower optim.learning_rate",
    ),
    Fault(
        "a few that may be left out",
        "broken poison $RUN/model bad $CORPUS;"
        " finetune model.encoder=bad callbacks.divergence.skip=99 && finished run",
        rf"the loss is no number on windows of {DOCUMENTS}: left out, 1 of at most 99$",
        0,
    ),
    Fault(
        "a prediction with damaged weights",
        "broken poison $RUN/model bad $CORPUS; predict ckpt=bad output=out",
        r"^error: MultiClinNER-\S+: what the model says of it is no number: its weights are dam",
        without="out/*",
    ),
    # W&B
    Fault(
        "W&B cannot be reached",
        "export WANDB_API_KEY=${HOME//?/0123456789} WANDB_BASE_URL=http://127.0.0.1:9;"
        " train logger=wandb logger.wandb.settings.init_timeout=2 && finished run",
        r"^W&B cannot be reached \(.*\): this run is offline\n(.*\n)*"
        r"W&B is offline; to upload: wandb sync run/wandb/offline-run-\*$",
        0,
    ),
    Fault(
        "W&B refuses the key",
        "export WANDB_API_KEY=short; train logger=wandb && finished run",
        r"^W&B cannot be reached \(WANDB_API_KEY invalid.*\): this run is offline$",
        0,
    ),
    Fault(
        "W&B's process is killed",
        "train logger=wandb trainer.max_epochs=4 & said 'epoch 1 of'; kill_its_child;"
        " wait $! && finished run",
        r"^W&B is lost \(.*\): the run goes on without; its CSV has all of it$",
        0,
    ),
    Fault(
        "W&B is not installed",
        "without_module wandb; train logger=wandb && finished run",
        r"^W&B is not installed: logging to the CSV alone, as logger=csv does$",
        0,
    ),
    Fault(
        "another logger is not installed",
        "without_module tensorboard; train logger=tensorboard",
        r"^error: pytorch_lightning.loggers.TensorBoardLogger: .*tensorboard.*\n"
        r"hint: install what it needs \(multiclin\[tensorboard\]\), or choose another",
    ),
    # Processes
    Fault(
        "a worker is killed: a training",
        "train data.workers=1 trainer.max_epochs=9 & said 'epoch 2 of'; kill_its_child; wait $!",
        r"^once the error below is mended, go on with the same command and hydra.run.dir='run' "
        r"ckpt_path=last\nerror: a process that makes batches has died \(it (is killed by signal: "
        r"Killed|exited unexpectedly)\), most often for want of memory, .*: data.workers=0, in a",
    ),
    Fault(
        "a full /dev/shm",
        "disk 64k /dev/shm; train data.workers=1",
        r"^a process that makes batches cannot hand one over: .*No space left on device.*\n"
        r"error: a process that makes batches has died \(it exited unexpectedly\), most often for",
    ),
    # The corpus
    Fault(
        "a corpus that changes while it is trained on",
        "cp -r $CORPUS corpus; train data.root=corpus trainer.max_epochs=4 & said 'epoch 1 of';"
        " truncate -s -1 $(first_ann corpus); wait $! && finished run",
        r"^data.root=corpus has changed since the run began: corpus/\S+\.ann; weights and scores "
        r"are those of the corpus as it was then, whose digest model/multiclin.json has$",
        0,
    ),
    Fault(
        "a run that goes on with another corpus",
        "cp -r $CORPUS corpus; truncate -s -1 $(first_ann corpus); cp -r $RUN run; rm -r run/model;"
        " train data.root=corpus ckpt_path=last",
        r"^error: ckpt_path=\S+last.ckpt: this run began with another corpus \(digest \w{32}, and "
        r"data.root=corpus has \w{32}\); bring the files back as they were, or begin a new run",
    ),
    # Two at once
    Fault(
        "two trainings into one folder",
        "train trainer.max_epochs=4 & said 'epoch 1 of'; train; refused=$?;"
        " wait $! && finished run && exit $refused",
        r"^error: run is being written to by another command \(process \d+ on \S+\); wait for "
        r"it, or name another folder$",
    ),
    Fault(
        "two predictions into one folder",
        "predict output=out batch_size=1 & said 'on cpu'; predict output=out; refused=$?;"
        " wait $! && test -s out/predictions.tsv && exit $refused",
        r"^error: out is being written to by another command \(process \d+ on \S+\); wait for it",
    ),
    Fault(
        "two trainings that make one cache",
        "train data.cache=cache & train data.cache=cache hydra.run.dir=two && wait $! &&"
        " finished run && cmp run/metrics.json two/metrics.json",
        r"reading and tokenising into cache/\w+\n(?!(.*\n)*reading and tokenising)",
        0,
    ),
    # Clock and locale
    Fault(
        "a clock that begins in 1970 and jumps back a day",
        "clock 100; train && as_before run",
        r"^the run lies in run ",
        0,
    ),
    Fault(
        "no locale, and a time zone that there is not",
        "locale LC_ALL=C TZ=Nowhere/Mars PYTHONIOENCODING=ascii; train && as_before run",
        r"^the run lies in run ",
        0,
    ),
    Fault(
        "a console for ASCII alone",
        "locale LC_ALL=C PYTHONIOENCODING=ascii; multiclin corpus stats $CORPUS | grep -q 'xe1'",
        r"^$",
        0,
    ),
    Fault(
        "a locale in which file names are not UTF-8",
        "locale LC_ALL=C PYTHONCOERCECLOCALE=0 PYTHONUTF8=0; train",
        r"^error: file names are read as ascii here, which spoils those with accents: say "
        r"PYTHONUTF8=1 before the command, or use a UTF-8 locale such as LC_ALL=C.UTF-8$",
    ),
)

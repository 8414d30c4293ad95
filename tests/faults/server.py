"""Runs commands in processes forked from one that has imported everything: five seconds less each.

`python -m tests.faults.server SOCKET` waits there; `client.py SOCKET train.py WORDS...` is the
command, with its own folder, environment, streams, mounts and limits. What has to be there when
Python starts (a locale, a library, a module) needs a process that is started anew.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

import multiclin.analysis.report
import multiclin.predict
import multiclin.train  # noqa: F401 - so are the others
from multiclin.cli import main


def serve(place: str) -> None:
    """Run commands until the end of the process that waits for them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                answer(connection)
            connection.close()


def answer(connection: socket.socket) -> None:
    """Run one command, and tell its number and its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, descriptors, *_ = socket.recv_fds(connection, 1 << 20, 4)
    request = json.loads(message)
    if child := os.fork():
        connection.sendall(f"{child}\n".encode())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(f"{status}\n".encode())
        os._exit(0)
    *streams, mounts = descriptors
    if ctypes.CDLL(None, use_errno=True).setns(mounts, 0):
        raise OSError(ctypes.get_errno(), "setns")
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    resource.setrlimit(resource.RLIMIT_AS, request["memory"])
    sys.argv = request["words"]
    sys.exit(main([Path(sys.argv[0]).stem, *sys.argv[1:]]))


if __name__ == "__main__":
    serve(sys.argv[1])

"""A command of `server.py`: it imports next to nothing."""

import json
import os
import resource
import socket
import sys

if __name__ == "__main__":
    place, *words = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as connection, open("/proc/self/ns/mnt") as mounts:  # noqa: PTH123
        connection.connect(place)
        request = {
            "words": words,
            "folder": os.getcwd(),  # noqa: PTH109
            "environment": dict(os.environ),
            "memory": resource.getrlimit(resource.RLIMIT_AS),
        }
        streams = [0, 1, 2, mounts.fileno()]
        socket.send_fds(connection, [json.dumps(request).encode()], streams)
        with connection.makefile() as answers:
            number = answers.readline().strip()
            with open(os.environ["PID"], "w") as file:  # noqa: PTH123
                file.write(number)
            sys.exit(int(answers.readline()) % 256)

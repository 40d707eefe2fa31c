"""The local server, as a process of its own for as long as a test needs it."""

import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Of TALLY_BINARY, as of the scripts in tests/, or what cargo built.
SERVER = Path(os.environ.get("TALLY_BINARY") or ROOT / "target/debug/tally").resolve()


class LocalServer:
    """A running server: where its API and its DynamoDB API are, its admin's password, and the keys of its app `demo`."""

    def __init__(self, process, banner):
        self.process = process
        self.url = re.search(r"on (http://\S+)", banner)[1]
        self.dynamodb = re.search(r"DynamoDB API on (http://\S+)", banner)[1]
        self.ingest_key = re.search(r"X-Ingest-Key: (\w+)", banner)[1]
        self.read_key = re.search(r"X-Read-Key: (\w+)", banner)[1]
        self.password = re.search(r'"password":"([^"]+)"', banner)[1]


def free_port():
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def apt_install(*packages):
    """Installs Debian packages without starting their services. Whether it could."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not shutil.which("apt-get") or subprocess.run([*sudo, "true"], capture_output=True).returncode:
        return False
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not sudo and not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
        steps = [["update", "-q"], ["install", "-qy", "--no-install-recommends", *packages]]
        return all(subprocess.run([*apt, *step], capture_output=True).returncode == 0 for step in steps)
    finally:
        if ours:
            policy.unlink()


def own_environment():
    """This process's variables without settings of Tally, which would reach what is tested."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}


def read_banner(process):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            return "".join(lines)
    sys.exit("the server ended before it was ready:\n" + "".join(lines))


@contextmanager
def local_server(environment=None, options=()):
    """Starts $TALLY_BINARY, or target/debug/tally, on free ports, keeping nothing, and ends it; it may not end by itself."""
    process = subprocess.Popen(
        [SERVER, "serve", "--memory", "--port", "0", "--dynamodb-port", "0", *options],
        env=environment or own_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield LocalServer(process, read_banner(process))
        if process.poll() is not None:
            sys.exit("the server ended by itself")
    finally:
        process.terminate()
        process.wait()

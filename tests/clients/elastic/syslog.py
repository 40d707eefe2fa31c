"""Logs to the unix socket of rsyslog or syslog-ng, which sends on to /es: `syslog.py rsyslog|syslog-ng`.

The agent has a configuration and a folder of its own, and runs as nobody where this process is root.
"""

import logging.handlers
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from client import events, key, mark, url

AGENTS = Path(os.environ["AGENTS"])
LIBRARIES = [AGENTS / "usr/lib/x86_64-linux-gnu", AGENTS / "usr/lib/syslog-ng"]
LIBRARIES += sorted(AGENTS.glob("usr/lib/*-linux-gnu")) + sorted(AGENTS.glob("lib/*-linux-gnu"))
# Equal lines in one burst, more than a request holds: each is an event of its own.
EQUAL = 45
UNPRIVILEGED = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}

RSYSLOG = """
module(load="imuxsock" SysSock.Use="off")
module(load="omelasticsearch")
module(load="mmrm1stspace")
input(type="imuxsock" Socket="{folder}/log")
template(name="event" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
  property(outname="level" name="syslogseverity-text" format="jsonf")
  property(outname="logger" name="programname" format="jsonf")
  property(outname="hostname" name="hostname" format="jsonf")
}}
template(name="id" type="string" string="%uuid%")
action(type="mmrm1stspace")
action(type="omelasticsearch" server="{url}/es" uid="shop" pwd="{key}" template="event"
  searchIndex="logs-shop" searchType="" bulkmode="on" bulkid="id" dynbulkid="on" writeoperation="create"
  queue.type="linkedList" queue.dequeueBatchSize="20" errorfile="{folder}/errors"
  action.resumeRetryCount="-1" action.resumeInterval="1" action.resumeIntervalMax="1")
"""

SYSLOG_NG = """
@version: {version}
@define scl-root "{scl}"
@include "{scl}/elasticsearch/elastic-http.conf"
options {{ frac-digits(6); use-uniqid(yes); }};
source local {{ unix-dgram("{folder}/log"); }};
destination tally {{
  elasticsearch-http(url("{url}/es/_bulk") user("shop") password("{key}") index("logs-shop") type("") custom-id("$UNIQID")
    template("$(format-json @timestamp=$ISODATE message=$MESSAGE level=$LEVEL logger=$PROGRAM hostname=$HOST)")
    workers(1) batch-lines(20) batch-timeout(200) timeout(3) time-reopen(1) retries(100));
}};
log {{ source(local); destination(tally); }};
"""


def start(agent, folder):
    env = {"LD_LIBRARY_PATH": ":".join(map(str, LIBRARIES)), "PATH": os.environ["PATH"]}
    config = folder / "config"
    if agent == "rsyslog":
        env["RSYSLOG_MODDIR"] = str(next(AGENTS.glob("usr/lib/*/rsyslog")))
        config.write_text(RSYSLOG.format(folder=folder, url=url, key=key))
        command = [AGENTS / "usr/sbin/rsyslogd", "-n", "-i", folder / "pid", "-f", config]
    else:
        modules = next(path for path in AGENTS.glob("usr/lib/syslog-ng/*.*") if path.is_dir())
        scl = AGENTS / "usr/share/syslog-ng/include/scl"
        config.write_text(SYSLOG_NG.format(folder=folder, url=url, key=key, scl=scl, version=modules.name))
        command = [AGENTS / "usr/sbin/syslog-ng", "--foreground", "--stderr", "--no-caps", "--cfgfile", config]
        command += ["--persist-file", folder / "persist", "--pidfile", folder / "pid", "--control", folder / "control"]
        command += ["--module-path", modules]
    if UNPRIVILEGED:
        shutil.chown(folder, UNPRIVILEGED["user"], UNPRIVILEGED["group"])
        shutil.chown(config, UNPRIVILEGED["user"], UNPRIVILEGED["group"])
    return subprocess.Popen(command, env=env, stdout=sys.stderr, **UNPRIVILEGED)


with tempfile.TemporaryDirectory(prefix="tally-syslog-") as name:
    folder = Path(name)
    agent = start(sys.argv[1], folder)
    while not (folder / "log").exists():
        if agent.poll() is not None:
            sys.exit(f"{sys.argv[1]} ended with {agent.returncode}")
        time.sleep(0.05)
    handler = logging.handlers.SysLogHandler(address=str(folder / "log"))
    handler.ident = "checkout: "
    logger = logging.getLogger("checkout")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    for _ in range(EQUAL):
        logger.info("tick")
    for _ in range(events):
        logger.warning("clicked %s Ünïcode 😀", mark())
    logger.error('{"message": "text %s", "took": 1.5}', mark())
    print("done", flush=True)
    # Until all has arrived.
    sys.stdin.read()
    agent.terminate()
    ended = agent.wait(20)
    errors = folder / "errors"
    if errors.exists():
        print(errors.read_text()[-2000:], file=sys.stderr)
    sys.exit(ended)

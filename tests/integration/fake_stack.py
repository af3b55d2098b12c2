"""Runs a supervisor over small fake programs, as a process of its own: `fake_stack.py HOME SPECIFICATION [THEN ...]`.

The specification is JSON: `units`, a list of {name, role, port, needs, script, room_mb}, and options of the supervisor; the
scripts below are what tests choose from.
No real server and no real service is started here.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from ops.cli import print_error
from ops.restarts import RestartPolicy
from ops.serve import Plan, serve
from ops.topology import Role, Stack, Unit, probe_readyz
from stack.errors import StackError
from stack.process import Ping, Program

SERVES = """
import http.server, os, pathlib, signal, sys, threading
name, port, home = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            print("these are the last words", flush=True)
            os._exit(7)
        if self.path == "/say":
            try:
                for number in range(1000): os.write(1, b"line %d of many\\n" % number)
            except OSError: pass
        self.send_response(503 if self.path == "/readyz" and (home / (name + "-unready")).exists() else 200)
        self.end_headers()
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Ready)
def leave(*arguments):
    with (home / "left").open("a") as left: left.write(name + "\\n")
    threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, leave)
with (home / "came").open("a") as came: came.write(name + "\\n")
server.serve_forever()
"""
IGNORES_SIGTERM = SERVES.replace("signal.SIGTERM, leave", "signal.SIGTERM, signal.SIG_IGN")
HANGS_ON_SIGTERM = SERVES.replace("threading.Thread(target=server.shutdown).start()", "pass")
FAILS = "import sys; print('the config is wrong in line 7'); sys.exit(3)"
SCRIPTS = {
    "serves": SERVES,
    "ignores": IGNORES_SIGTERM,
    "hangs": HANGS_ON_SIGTERM,
    "fails": FAILS,
}

QUICK = RestartPolicy(first_s=0.05, longest_s=0.1, limit=3)


def unit(home: Path, name: str, role: str, port: int, needs: list[str], script: str, room_mb: int = 0) -> Unit:
    """One fake program."""
    program = Program(
        name=name,
        command=(sys.executable, "-c", SCRIPTS[script], name, str(port), str(home)),
        env={},
        workdir=home / name,
        log=home / "logs" / f"{name}.log",
        ports={"metrics": port},
        probe=probe_readyz(port),
        ping=Ping(port, b"GET /healthz HTTP/1.0\r\n\r\n", "/healthz"),
        room_mb=room_mb,
        stop_grace_s=0.5 if script == "ignores" else 30.0,
    )
    return Unit(program, Role(role), tuple(needs))


def main(home: Path, specification: str, then: list[str]) -> int:
    """Supervise until a signal; the result is the exit code."""
    asked = json.loads(specification)
    units = tuple(unit(home, **values) for values in asked["units"])
    policy = replace(QUICK, **{name: asked[name] for name in ("hung_s", "first_s") if name in asked})
    lines = ["ready: all"]
    try:
        serve(Plan(home, "fake", lambda: Stack(units, {}), lambda _: lines, then, policy, asked.get("log_mb", 16)))
    except StackError as error:
        print_error(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))

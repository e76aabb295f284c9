"""What a machine's shell does for a batch. Plain POSIX, since the image may hold nothing but busybox."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

__all__ = [
    "BATCH_FOLDER",
    "LOG_CHARS",
    "MOST_NAMES",
    "OUT_FOLDER",
    "SCENE_FOLDER",
    "begin_command",
    "clean_command",
    "empty_command",
    "kill_command",
    "log_command",
    "look_command",
    "made_command",
    "prepare_command",
    "skip_command",
    "stay_command",
    "with_end",
]

#: Below the login folder.
BATCH_FOLDER = "octa-batch"
SCENE_FOLDER = f"{BATCH_FOLDER}/scene"
OUT_FOLDER = f"{BATCH_FOLDER}/out"
#: Of the end of a process's log.
LOG_CHARS = 16_000
KILL_AFTER_S = 5
#: Names that are listed of a machine that renders already.
MOST_NAMES = 100_000

_WHOLE = "# whole"

# The session is billed until it is stopped, whatever its command does: it idles.
_STAY = 'trap "exit 0" TERM; while :; do sleep 3600 & wait $!; done'

_PREPARE = (
    f"mkdir -p {SCENE_FOLDER} {OUT_FOLDER} {BATCH_FOLDER}/p && cd {BATCH_FOLDER} && echo > p/room && rm -f p/room"
)

# $1 is the process's number, $2 the environment as `export` lines; the script comes on stdin, whole or not at all:
# its last line says so. `set -C` makes the first one who creates `started` the only one who begins it, however often
# this is sent. Its own process group, so that what it starts ends with it.
_BEGIN = f"""
trap '' HUP
cd {BATCH_FOLDER} && mkdir -p p/$1 && cat > p/$1/script || exit 90
[ "$(tail -n 1 p/$1/script)" = "{_WHOLE}" ] || exit 91
if ( set -C; : > p/$1/started ) 2>/dev/null; then
  octa_n=$1; eval "$2"
  OUT=$PWD/out; export OUT
  set -- "$(command -v setsid 2>/dev/null)" "$octa_n"
  nohup ${{1:+"$1"}} /bin/sh -c 'cd scene && /bin/sh ../p/$1/script; c=$?
    echo $c > ../p/$1/status.new && mv ../p/$1/status.new ../p/$1/status' octa-batch "$2" \\
    > p/$2/log 2>&1 < /dev/null &
  echo $! > p/$2/pid; echo begun
else echo already; fi
"""

# Prints `now <seconds>`, `free <KiB>`, `process <number> <state>` of the processes in $1, and `file <size> <mtime>
# <name>` of those of the names on stdin that are there. Fractions of seconds where `stat` knows them. Nobody may
# collect the dead in a container, so a process that has ended can still answer to kill -0, as a zombie.
_LOOK = f"""
cd {BATCH_FOLDER} 2>/dev/null || {{ echo absent; exit; }}
: > p/now; set -- "$1" "$(stat -c %.3Y p/now 2>/dev/null)"
case $2 in [0-9]*) octa_f=%.3Y;; *) octa_f=%Y;; esac
echo "now $(stat -c $octa_f p/now)"
echo "free $(df -Pk out | tail -n 1 | awk '{{print $4}}')"
for n in $1; do
  if [ -f p/$n/status ]; then echo "process $n $(cat p/$n/status)"
  elif [ ! -e p/$n/started ]; then echo "process $n absent"
  elif [ ! -s p/$n/pid ]; then echo "process $n running"
  elif p=$(cat p/$n/pid); kill -0 "$p" 2>/dev/null && ! grep -q '^State:.*Z' /proc/$p/status 2>/dev/null
  then echo "process $n running"
  elif [ -f p/$n/status ]; then echo "process $n $(cat p/$n/status)"
  else echo "process $n gone"; fi
done
cd out && tr '\\n' '\\0' | xargs -0 stat -c "file %s $octa_f %n" -- 2>/dev/null
exit 0
"""

# The names on stdin, last first; prints those whose empty file could be laid, which are the ones that had not begun.
_SKIP = f"""
cd {OUT_FOLDER} || exit 90
while IFS= read -r f; do
  case $f in */*) mkdir -p "${{f%/*}}";; esac
  ( set -C; : > "$f" ) 2>/dev/null && printf '%s\\n' "$f"
done
exit 0
"""

# Empty files at the names on stdin, left where an earlier process died, would be skipped.
_CLEAN = f"""
cd {OUT_FOLDER} || exit 90
while IFS= read -r f; do [ -s "$f" ] || rm -f "$f"; done
exit 0
"""

# An accepted frame's file stays as an empty one: a process that comes by skips the frame, and the disk has room.
_EMPTY = f"""
cd {OUT_FOLDER} || exit 90
while IFS= read -r f; do [ ! -s "$f" ] || : > "$f"; done
exit 0
"""

# Ends the processes in $1 and what they have started: asked first, then made to.
_KILL = f"""
cd {BATCH_FOLDER} || exit 0
octa_all() {{
  octa_left=
  for n in $2; do
    p=$(cat p/$n/pid 2>/dev/null) || continue
    if kill -$1 -"$p" 2>/dev/null || kill -$1 "$p" 2>/dev/null; then
      grep -q '^State:.*Z' /proc/$p/status 2>/dev/null || octa_left=1
    fi
  done
}}
octa_all TERM "$1"; i=0
while [ -n "$octa_left" ] && [ $i -lt {KILL_AFTER_S * 5} ]; do
  sleep 0.2 2>/dev/null || sleep 1; i=$((i+1)); octa_all 0 "$1"
done
octa_all KILL "$1"
exit 0
"""

# Which processes an earlier coordinator has begun, and which files are not empty.
_MADE = f"""
cd {BATCH_FOLDER} 2>/dev/null || exit 0
for d in p/*/; do n=${{d#p/}}; case $n in '*/') ;; *) echo "process ${{n%/}}";; esac; done
cd out 2>/dev/null && find . -type f -size +0 2>/dev/null | head -n {MOST_NAMES} | sed 's,^\\./,name ,'
exit 0
"""

_LOG = f'tail -c {LOG_CHARS} {BATCH_FOLDER}/p/"$1"/log 2>/dev/null; exit 0'


def stay_command() -> str:
    """The `start_command` of a machine that waits to be told over SSH what to do."""
    return shlex.join(["/bin/sh", "-c", _STAY])


def prepare_command() -> str:
    """Makes the folders; fails where the disk has no room."""
    return _PREPARE


def with_end(script: str) -> str:
    """A script as `begin_command` takes it from its stdin: with a last line that says that all of it has come."""
    return f"{script.rstrip()}\n{_WHOLE}\n"


def clean_command() -> str:
    """Removes the files on stdin that are empty."""
    return _shell(_CLEAN)


def begin_command(process: int, envs: str = "") -> str:
    """Begins the process whose script comes on stdin, once however often it is sent.

    Args:
        process: its number, of which there is one on the machine.
        envs: lines of shell that export its variables.
    """
    return _shell(_BEGIN, str(process), envs)


def look_command(processes: Sequence[int]) -> str:
    """Tells how processes are doing, and which of the files on stdin are there."""
    return _shell(_LOOK, " ".join(map(str, processes)))


def skip_command() -> str:
    """Lays empty files at the names on stdin where there is nothing yet, and tells where it did."""
    return _shell(_SKIP)


def empty_command() -> str:
    """Empties the files on stdin."""
    return _shell(_EMPTY)


def kill_command(processes: Sequence[int]) -> str:
    """Ends processes and all that they have started."""
    return _shell(_KILL, " ".join(map(str, processes)))


def made_command() -> str:
    """Tells what an earlier coordinator has left: processes and files."""
    return _shell(_MADE)


def log_command(process: int) -> str:
    """Prints the end of a process's log."""
    return _shell(_LOG, str(process))


def _shell(script: str, *arguments: str) -> str:
    return shlex.join(["/bin/sh", "-c", script, "octa-batch", *arguments])

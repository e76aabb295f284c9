"""The shell around a job's command: the API tells no exit code, so the machine has to say it itself."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from octa_provider.wire.labels import LABELS_ENV
from octa_provider.wire.session_envs import JOB_ENV, RENTAL_MARK_ENV, REPLACES_ENV, TRIED_ENV

#: Where a job over SSH keeps its files, below the login folder.
JOB_FOLDER = "octa-job"
LOG_FILE = f"{JOB_FOLDER}/job.log"
WORK_FOLDER = f"{JOB_FOLDER}/work"
#: What was sent, and so was not made by the command.
SENT_FILE = f"{JOB_FOLDER}/sent"
#: The exit code of a command that was ended at its deadline, as with `timeout`.
TIMED_OUT_CODE = 124
#: What `await_end_command` prints.
ENDED = "ended"
KILL_AFTER_S = 10

# Plain POSIX, since the image may hold nothing but busybox. $1 is the command, $2 its seconds, $3 exports its
# variables: in a shell of its own, since one may be called as one of ours, or change what our shell finds. The command
# runs in a process group of its own where there is `setsid`, so that what it started ends with it. The watchdog's own
# exit status tells whether it struck: the command's does not, since it may end with any code then, or with 124 without
# it.
_RUN = f"""
set -- "$1" "$2" "$3" "$(command -v setsid 2>/dev/null)"
if [ -n "$4" ]; then octa_g=-; else octa_g=; fi
( eval "$3"; exec ${{4:+"$4"}} /bin/sh -c "$1" ) &
p=$!
( t=0; trap 'kill $s 2>/dev/null; exit $t' TERM; sleep "$2" & s=$!; wait $s
  t=1; kill -TERM $octa_g$p 2>/dev/null; sleep {KILL_AFTER_S} & s=$!; wait $s; kill -KILL $octa_g$p 2>/dev/null; exit 1
) >/dev/null 2>&1 &
w=$!; wait $p; c=$?; kill -TERM $w 2>/dev/null; wait $w 2>/dev/null
if [ $? -eq 1 ]; then c=timeout; [ -z "$octa_g" ] || kill -KILL -$p 2>/dev/null; fi
"""

# What is set before the command begins: a variable of the same name in the session's environment is one that every
# program gets, so that the command would see ours in its place, the nonce among them.
_OURS = "unset octa_n octa_h octa_d octa_g octa_r"

# With the nonce a command could forge its own end. What runs on beside it has an environment without.
_FORGET = f"unset {JOB_ENV} {RENTAL_MARK_ENV} {REPLACES_ENV} {TRIED_ENV} {LABELS_ENV}"

# It comes in the environment, which /proc shows of every process as it was when its program began: so the shell begins
# anew without it, and reads it from a pipe. $1 is what then runs.
_HIDE = f"""
{_OURS}; octa_n=${{{JOB_ENV}%%:*}}; {_FORGET}
exec /bin/sh -c "$@" 3<<.
$octa_n
.
"""

# A container that is restarted would run its command again: the folder, which survives that, says that it began. Its
# name does not tell the nonce.
# The marker comes twice: the first may hang on a line that the command did not end, the second has its own. Then it
# idles: a container that ends might be restarted, and is billed until it is stopped anyway.
_CONTAINER = f"""
read -r octa_n <&3; exec 3<&-; octa_h=$(printf %s "$octa_n" | cksum 2>/dev/null)
octa_d="${{HOME:-/root}}/.octa-job-${{octa_h%% *}}"
if [ -d "$octa_d" ]; then c=restarted; [ ! -s "$octa_d/exit" ] || c=$(cat "$octa_d/exit")
else mkdir -p "$octa_d" 2>/dev/null
{_RUN.strip()}
echo $c 2>/dev/null > "$octa_d/exit.new" && mv "$octa_d/exit.new" "$octa_d/exit"
fi
m="[octa-job $octa_n] exit $c"; printf '%s\\n%s\\n' "$m" "$m"
exec 2>/dev/null; trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done
"""

_KEEP_LOG = (
    f'{_FORGET}; cd "${{HOME:-/root}}" && mkdir -p {JOB_FOLDER} && : >> {LOG_FILE} && exec tail -n +1 -F {LOG_FILE}'
)

_WHOLE = "# whole"

# Nothing of the job is in this line, which SSH libraries and process lists show: all of it comes on stdin, and goes on
# through a pipe. No file gets it (bash takes one that has no name), since it holds secrets, and the nonce. It must have
# come whole, since a connection can break in the middle. `set -C` makes the first one who creates `started` the only
# one who runs the command, however often this is sent. The inputs lie beside the command's folder until then ($1 names
# them), so that nobody who comes later lays a file over one that the command is using. A disk without room is found out
# before anything has begun.
_BEGIN = f"""
trap '' HUP; umask 077; {_OURS}; {_FORGET}
mkdir -p {JOB_FOLDER} && cd {JOB_FOLDER} && echo > room.$$ && rm -f room.$$ || exit 90
octa_r=$(cat)
case $octa_r in *"
{_WHOLE}") ;; *) exit 91;; esac
if ( set -C; : > started ) 2>/dev/null; then
  if [ -n "$1" ]; then
    {{ [ ! -e work ] && mv "in.$1" work; }} || cp -Rp "in.$1/." work || {{ rm -f started; exit 93; }}
    mv -f "sent.$1" sent
  else echo '{{}}' > sent
  fi
  rm -rf in.* sent.*
  set -- "$(command -v setsid 2>/dev/null)"
  nohup ${{1:+"$1"}} /bin/sh -c '{_OURS}; octa_r=$(cat <&3); exec 3<&-; eval "$octa_r"' octa-job \\
    >> job.log 2>&1 < /dev/null 3<<. &
$octa_r
.
  echo $! > pid; echo begun
else echo already; fi
"""

# The marker ends the log before the status says that it is whole.
_DETACHED = f"""
octa_n=$4; unset octa_r; umask 022
mkdir -p work && cd work || exit 92
{_RUN.strip()}
m="[octa-job $octa_n] exit $c"; printf '%s\\n%s\\n' "$m" "$m"
printf '%s %s\\n' "$octa_n" "$c" > ../status.new && mv ../status.new ../status
"""

# Nobody may collect the dead in a container, so a process that has ended can still answer to kill -0, as a zombie.
_LOOK = f"""
cd {JOB_FOLDER} 2>/dev/null || {{ echo absent; exit; }}
if [ -f status ]; then cat status
elif [ ! -e started ]; then echo absent
elif [ ! -s pid ]; then echo running
elif p=$(cat pid); kill -0 "$p" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$p/status" 2>/dev/null; then echo running
elif [ -f status ]; then cat status
else echo gone; fi
"""

# Returns when there is something new for a look, or after a while without: nothing ends it when its connection is lost.
# An old `sleep` takes whole seconds.
_AWAIT_END = f"""
cd {JOB_FOLDER} 2>/dev/null || exit 1
n=0
while [ $n -lt $1 ]; do
  [ ! -f status ] || {{ echo ended; exit; }}
  [ ! -s pid ] || kill -0 "$(cat pid)" 2>/dev/null || {{ echo ended; exit; }}
  sleep 0.5 2>/dev/null || sleep 1; n=$((n+1))
done
"""
#: Half seconds until it returns all the same.
_AWAITED = 1200

_EXIT = re.compile(r"[0-9]{1,3}|timeout|restarted")
#: What container runtimes say of an image without a shell, in this order in one line.
_NO_SHELL = ("exec", "/bin/sh")
_MISSING = ("no such file", "not found")


def container_command(command: str, timeout_s: float) -> str:
    """The `start_command` that runs a command, ends it at its deadline, and prints its exit code as the last line.

    Args:
        command: as the shell reads it.
        timeout_s: seconds that it may run.
    """
    return shlex.join(["/bin/sh", "-c", _HIDE, "octa-job", _CONTAINER, "octa-job", command, _seconds(timeout_s)])


def log_keeper_command() -> str:
    """The `start_command` of a job over SSH: it prints the job's log, so that the API's log shows it as it grows."""
    return shlex.join(["/bin/sh", "-c", _KEEP_LOG])


def staged_folder(token: str) -> str:
    """Where inputs lie until the command begins.

    Args:
        token: names what one process has sent.
    """
    return f"{JOB_FOLDER}/in.{token}"


def staged_list(token: str) -> str:
    """The list of what lies there.

    Args:
        token: as in `staged_folder`.
    """
    return f"{JOB_FOLDER}/sent.{token}"


def keep_list_command(token: str, size: int) -> str:
    """The command line that makes the folder, and keeps the list, which it reads on stdin, if all of it has come.

    Args:
        token: as in `staged_folder`.
        size: bytes of the list.
    """
    path = staged_list(token)
    return (
        f"mkdir -p {staged_folder(token)} && umask 077 && cat > {path}.new && "
        f'[ "$(wc -c < {path}.new)" -eq {size} ] && mv -f {path}.new {path}'
    )


def begin_command(
    command: str, timeout_s: float, nonce: str, envs: Mapping[str, str], token: str = ""
) -> tuple[str, str]:
    """The command line that starts a command detached, once however often it is sent, and what it reads on stdin.

    Args:
        command: as the shell reads it.
        timeout_s: seconds that it may run.
        nonce: marks its exit code.
        envs: its environment variables: those of the container do not reach a command over SSH.
        token: names the inputs that were sent for it; empty when there are none.
    """
    # Not as a special built-in, which would end the shell where a name is read-only, as UID is to bash.
    exports = "\n".join(f"command export {name}={shlex.quote(value)}" for name, value in envs.items())
    job = shlex.join(["set", "--", command, _seconds(timeout_s), exports, nonce])
    # The same to the shell, and no line but the last says that all has come.
    job = job.replace(_WHOLE, _WHOLE.replace(" ", "'' ", 1))
    return shlex.join(["/bin/sh", "-c", _BEGIN, "octa-job", token]), "\n".join([job, _DETACHED.strip(), _WHOLE, ""])


def look_command() -> str:
    """The command line that tells how a detached command is doing; see `DetachedStatus`."""
    return shlex.join(["/bin/sh", "-c", _LOOK])


def await_end_command() -> str:
    """The command line that prints `ENDED` as soon as a detached command has ended, or nothing after some minutes."""
    return shlex.join(["/bin/sh", "-c", _AWAIT_END, "octa-job", str(_AWAITED)])


@dataclass(frozen=True)
class ExitMarker:
    """What the machine said of the end of a command.

    Attributes:
        exit_code: the command's; None when the container was restarted, so that it is not known.
        timed_out: the command was ended at its deadline.
        before: what the command had printed on the same line, without ending it.
    """

    exit_code: int | None
    timed_out: bool = False
    before: str = ""

    @classmethod
    def of(cls, word: str, before: str = "") -> ExitMarker:
        """The marker of what the scripts call `$c`.

        Args:
            word: an exit code, `timeout` or `restarted`.
            before: what the command had printed on the same line.
        """
        if word == "restarted":
            return cls(None, before=before)
        if word == "timeout":
            return cls(TIMED_OUT_CODE, timed_out=True, before=before)
        return cls(int(word), before=before)


@dataclass(frozen=True)
class DetachedStatus:
    """How a detached command is doing.

    Attributes:
        state: `absent` (not begun), `running`, `gone` (without an exit code), or `exited`.
        marker: its end, when it has exited.
    """

    state: str
    marker: ExitMarker | None = None


def read_status(text: str, nonce: str) -> DetachedStatus:
    """What `look_command` printed; anything unexpected counts as gone, which is no success.

    Args:
        text: what it printed.
        nonce: marks the exit code of this run.
    """
    line = text.strip()
    if line in {"absent", "running", "gone"}:
        return DetachedStatus(line)
    told, _, word = line.partition(" ")
    match = _EXIT.fullmatch(word) if told == nonce else None
    return DetachedStatus("gone") if match is None else DetachedStatus("exited", ExitMarker.of(match[0]))


def read_marker(line: str, nonce: str) -> ExitMarker | None:
    """The marker, if this line of the log is the one with our nonce.

    Args:
        line: one line, without its end.
        nonce: marks the exit code of this run.
    """
    before, marker, word = line.rpartition(f"[octa-job {nonce}] exit ")
    match = _EXIT.fullmatch(word.rstrip()) if marker else None
    return None if match is None else ExitMarker.of(match[0], before)


def lacks_shell(text: str) -> bool:
    """True for what container runtimes say when the image holds no `/bin/sh`, which every job needs.

    Args:
        text: what a machine said.
    """
    # Plain searches: the machine may send any text, and a pattern with `.*` between these words takes its cube.
    return any(map(_says_no_shell, text.lower().split("\n")))


def _says_no_shell(line: str) -> bool:
    at = 0
    for word in _NO_SHELL:
        found = line.find(word, at)
        if found < 0:
            return False
        at = found + len(word)
    return any(line.find(word, at) >= 0 for word in _MISSING)


def _seconds(timeout_s: float) -> str:
    return str(max(1, math.ceil(timeout_s)))

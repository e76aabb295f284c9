"""The library's messages in the words of the command line: whoever sits at a shell has options, no arguments."""

from __future__ import annotations

import argparse
import re

from octa_provider.cli.options.connection import masked_by
from octa_provider.cli.output.wording import shown_lines

#: What the library calls an argument, and the option that sets it.
OPTIONS = {
    "api_key": "--api-key-file",
    "base_url": "--base-url",
    "cpu_cores": "--cpu-cores",
    "deadline_s": "--deadline",
    "disk_gb": "--disk-gb",
    "exclude_nodes": "--exclude-nodes",
    "finish_within_s": "--within",
    "gpu_count": "--gpu-count",
    "gpu_memory_gb": "--gpu-memory-gb",
    "gpu_model": "--gpu-model",
    "http_ports": "--http-port",
    "result_file": "--result-file",
    "log_path": "--log",
    "entrypoint": "--entrypoint",
    "max_age_s": "--max-age",
    "max_cost_usd": "--max-cost-usd",
    "max_failed_frames": "--max-failed-frames",
    "max_machines": "--max-machines",
    "max_price_usd": "--max-price-usd",
    "memory_gb": "--memory-gb",
    "min_blender_score": "--min-blender-score",
    "min_reliability": "--min-reliability",
    "node_id": "--node-id",
    "older_than_s": "--older-than",
    "on_changed": "--on-changed",
    "order_by": "--order-by",
    "organization_id": "--organization-id",
    "poll_s": "--poll",
    "private_key": "--ssh-key",
    "project_id": "--project-id",
    "ready_timeout_s": "--ready-timeout",
    "seconds_per_frame": "--seconds-per-frame",
    "start_attempts": "--start-attempts",
    "keep_failed_s": "--keep-failed",
    "timeout_s": "--timeout",
    "tries_per_frame": "--tries-per-frame",
    "wait_for_machine_s": "--wait-for-machine",
}
_CONNECTION_KEY = re.compile(r", the connection's password, or api_key=")
_PASS_THE_KEY = re.compile(r"\bpass the key as api_key=")
_KEY_ARGUMENT = re.compile(r"\bapi_key=\.\.\.")
_RECENT_ARGUMENT = re.compile(r"\bwith recent=True")
_EITHER_VIA = re.compile(r"\bvia='(\w+)' or '(\w+)'")
_ENVS = re.compile(r"^envs\b:?")
_IN_ENVS = re.compile(r"\bis in envs and in secret_envs\b")
_SECRET_ENVS = re.compile(r"\bsecret_envs\b:?")
_LABELS = re.compile(r"^labels\b:?")
_VIA_MUST = re.compile(r"^via must")
_PORTS_MUST = re.compile(r"^ports must")
_LONGEST = re.compile(r"\bmax_duration_s(?:=\S+)?")
_ALLOW_HTTP = re.compile(r", or allow_http=True")
_NAMED_TWICE = re.compile(r"\(\w+, (--[\w-]+)\)")
_LET_MISSING = re.compile(r"\ballow_missing=True")
_PYTHONS_NAME = re.compile(r"\b[A-Z]\w*(?:Error|Exception): (?=\S)")
_ERRNO = re.compile(r"\[Errno -?\d+\] ")
_THE_BODY = re.compile(r" ?\bLook at the body for the reason\.")
#: Whole phrases, for what no single word stands for.
_PHRASES = (
    (_CONNECTION_KEY, " or --api-key-file"),
    (_PASS_THE_KEY, "put the key into OCTA_API_KEY, or into a file for --api-key-file"),
    (_KEY_ARGUMENT, "--api-key-file PATH"),
    (_RECENT_ARGUMENT, "by octa-provider sessions --recent"),
    (_EITHER_VIA, r"--via \1 or --via \2"),
    (_ENVS, "--env"),
    (_IN_ENVS, "is given with --env and with --secret-env"),
    (_SECRET_ENVS, "--secret-env"),
    (_LABELS, "--label"),
    (_VIA_MUST, "--via must"),
    (_PORTS_MUST, "--port must"),
    (_LONGEST, "the cap on its duration"),
    (_ALLOW_HTTP, ""),
    (_LET_MISSING, "--allow-missing"),
    (_NAMED_TWICE, r"(\1)"),
    # What Python calls an error says nothing that its text does not.
    (_PYTHONS_NAME, ""),
    (_ERRNO, ""),
    # It is not shown here.
    (_THE_BODY, ""),
)
# Neither in a path nor in quotes: those are the user's own words.
_NAME = re.compile(rf"(?<![\w/.'\"-])({'|'.join(OPTIONS)})(?![\w/-]|\.\w)(=(?=\S))?")


def in_shell_words(text: str) -> str:
    """The text with options in place of the library's arguments: `max_cost_usd=2` is `--max-cost-usd 2`."""
    for phrase, words in _PHRASES:
        text = phrase.sub(words, text)
    return _NAME.sub(lambda found: OPTIONS[found[1]] + (" " if found[2] else ""), text)


def worded(arguments: argparse.Namespace, text: str) -> str:
    """A message as it is shown: in the shell's words, without the key, and without what a terminal would obey."""
    return in_shell_words(shown_lines(masked_by(arguments, text)))

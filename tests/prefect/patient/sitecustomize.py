"""Read by Python itself when this folder is in PYTHONPATH."""

import sys

import more_time

more_time.install()

# Another process that is forked has read this, and begins itself.
if sys.orig_argv[-3:-1] == ["flow-run", "execute"] or sys.orig_argv[-2:] == ["flow-run", "execute"]:
    import warm_children

    if warm_children.is_runner(sys.orig_argv[1:]):
        warm_children.started_ahead.load(warm_children.started_ahead.OF_A_RUNNER)
        warm_children.begin(first_of_path=0)

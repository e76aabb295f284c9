"""What a task ends with, by what has happened: each is an `AirflowException`, so that another try may follow.

What no other try can mend is Airflow's own `AirflowFailException`; what took too long, and what there is nothing to do
for, are Airflow's own as well: `AirflowTaskTimeout`, `AirflowSensorTimeout`, `AirflowSkipException`.

    AirflowException
        OctaTaskError                   OctaSpace, or the way there, did not do what was asked for
            OctaTaskKilledError         the task was killed; what it had started is stopped
            OctaJobFailedError          the job ended, and not as it should
            OctaUnwatchedError          the triggerer could not watch a session, and stopped it if it could
            OctaNotStoppedError         a session was not seen stopped in time, and may still bill
            OctaAirflowUnreachableError Airflow did not answer what had to be known before
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import AirflowException

__all__ = [
    "OctaAirflowUnreachableError",
    "OctaBatchBusyError",
    "OctaBatchIncompleteError",
    "OctaJobFailedError",
    "OctaNotStoppedError",
    "OctaTaskError",
    "OctaTaskKilledError",
    "OctaUnwatchedError",
]


class OctaTaskError(AirflowException):
    """OctaSpace, or the way there, did not do what was asked for; another try may have more luck."""


class OctaTaskKilledError(OctaTaskError):
    """The task was killed; what it had started is stopped."""


class OctaJobFailedError(OctaTaskError):
    """The job ended, and not as it should; the last lines that it printed are in the message."""


class OctaBatchIncompleteError(OctaTaskError):
    """Frames of the batch are missing; which is in the message. Nothing runs any more, and another try goes on."""


class OctaBatchBusyError(OctaTaskError):
    """Another process renders into the output folder, perhaps a try that Airflow took for dead: it was left alone."""


class OctaUnwatchedError(OctaTaskError):
    """The triggerer could not watch a session, and stopped it if it could."""


class OctaNotStoppedError(OctaTaskError):
    """A session was not seen stopped in time, and may still bill."""


class OctaAirflowUnreachableError(OctaTaskError):
    """Airflow did not answer what had to be known before anything could be rented, stopped or found."""

"""The arguments that describe a batch, turned into the core's `Batch`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.batch_values import check_check, known_renderer, to_check, to_renderer
from airflow_provider.connection_form import DEFAULT_CONN_ID
from airflow_provider.machine_requirements import check_requirements, to_requirements
from airflow_provider.rendering import RendersWhatIsWritten
from airflow_provider.templated import as_float, as_int, as_ints, as_text, as_texts, checked_cap, is_known, known_texts
from octa_provider.errors import OctaConfigError

if TYPE_CHECKING:
    from octa_provider.batch.batch import Batch
    from octa_provider.batch.check import Check
    from octa_provider.batch.renderers.renderer import Renderer
    from octa_provider.market.requirements import Requirements
    from octa_provider.render.frames import Frames

__all__ = ["DescribesBatch"]

_WHOLE = ("max_machines", "max_failed_frames", "tries_per_frame", "disk_gb")
_NUMBERS = ("finish_within_s", "confidence", "seconds_per_frame", "ready_timeout_s", "wait_for_machine_s")
_WORDS = ("on_changed", "order")
_TEXTS = ("scene", "output", "main")
_NEEDED = {"scene": "the scene's file or folder", "output": "the folder that gets the frames"}
_FIELDS = (
    *("scene", "frames", "output", "main", "renderer", "requirements", "check", "max_machines", "finish_within_s"),
    *("max_cost_usd", "confidence", "max_failed_frames", "tries_per_frame", "seconds_per_frame", "on_changed"),
    *("order", "disk_gb", "ready_timeout_s", "max_duration_s", "wait_for_machine_s", "labels"),
)


def _attribute(name: str) -> str:
    return "output_folder" if name == "output" else name


class DescribesBatch(RendersWhatIsWritten):
    """What an operator is told about a batch. Every argument is templated.

    Args:
        scene: the scene's file, or the folder with it and all that it needs, on the worker.
        frames: a range such as `1-240` or `1-240x2`, or numbers.
        output: the folder that gets the frames, on storage that every worker sees; made when missing.
        main: the scene's file within a folder, such as `shot.blend`; needed where the folder holds several.
        renderer: what renders: `blender(...)`, `Renderer(...)`, or a mapping of the arguments of either (with `command`
            it is of `Renderer`); Blender when left out.
        requirements: which machines, as a mapping or `Requirements`.
        check: when a frame is whole, as a mapping or `Check`.
        max_machines: at most so many at once.
        finish_within_s: the deadline, in seconds from the start of the try; None takes the time that costs least.
        max_cost_usd: never more than this for the whole batch, earlier tries included, in USD.
        confidence: how sure the deadline and the budget are to hold when the plan is made, 0.5 to 0.99.
        max_failed_frames: go on although so many frames were given up.
        tries_per_frame: tries for each frame, each on another machine.
        seconds_per_frame: what a frame takes on average on a machine of the median score, in seconds, where it is
            known; else it is measured.
        on_changed: `refuse` frames in the output folder that are of another scene, or `replace` them.
        order: `forward`, `backward`, or `spread`: first those that are far apart.
        disk_gb: disk of each machine, in GB.
        ready_timeout_s: seconds for a machine to come up.
        max_duration_s: all machines are stopped when the first one of the try has been rented for so many seconds;
            plans that would take longer are refused. None for no such cap.
        wait_for_machine_s: seconds to wait, in all, while none of its machines is there and none fits or has room; 0
            fails at once.
        labels: words of your own on each machine's session, such as `{"project": "atlas"}`, to find it and to split a
            bill by. Whoever has the account's key, and the machines' owners, read them: no secrets.
        octa_conn_id: the connection.
        kwargs: as of every operator.
    """

    template_fields: Sequence[str] = (*map(_attribute, _FIELDS), "octa_conn_id")
    mapping_fields: ClassVar[frozenset[str]] = frozenset({"renderer", "requirements", "check", "labels"})
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "renderer": "json",
        "requirements": "json",
        "check": "json",
        "labels": "json",
    }

    def __init__(
        self,
        *,
        scene: str | os.PathLike[str],
        frames: str | Frames | Iterable[int],
        output: str | os.PathLike[str],
        main: str | None = None,
        renderer: Renderer | Mapping[str, Any] | None = None,
        requirements: Requirements | Mapping[str, Any] | None = None,
        check: Check | Mapping[str, Any] | None = None,
        max_machines: int | str = 10,
        finish_within_s: float | str | None = None,
        max_cost_usd: float | str | None = None,
        confidence: float | str = 0.9,
        max_failed_frames: int | str = 0,
        tries_per_frame: int | str = 3,
        seconds_per_frame: float | str | None = None,
        on_changed: str = "refuse",
        order: str = "forward",
        disk_gb: int | str = 20,
        ready_timeout_s: float | str = 900.0,
        max_duration_s: float | str | None = None,
        wait_for_machine_s: float | str = 0.0,
        labels: Mapping[str, str] | None = None,
        octa_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.scene = scene
        self.frames = frames
        # `output` itself is what every task returned.
        self.output_folder = output
        self.main = main
        self.renderer = renderer
        self.requirements = requirements
        self.check = check
        self.max_machines = max_machines
        self.finish_within_s = finish_within_s
        self.max_cost_usd = max_cost_usd
        self.confidence = confidence
        self.max_failed_frames = max_failed_frames
        self.tries_per_frame = tries_per_frame
        self.seconds_per_frame = seconds_per_frame
        self.on_changed = on_changed
        self.order = order
        self.disk_gb = disk_gb
        self.ready_timeout_s = ready_timeout_s
        self.max_duration_s = max_duration_s
        self.wait_for_machine_s = wait_for_machine_s
        self.labels = labels
        self.octa_conn_id = octa_conn_id

    def check_known_arguments(self) -> None:
        """Refuse what can never work, as far as it is known when the DAG file is parsed. The end of each `__init__`.

        Raises:
            ValueError: naming the argument and what to do.
        """
        check_requirements(self.requirements, {})
        check_check(self.check)
        # What is not known yet is left at what always works.
        known = {name: value for name, value in self._given().items() if is_known(value)}
        known |= {"renderer": known_renderer(self.renderer), "requirements": None, "check": None}
        known["labels"] = known_texts("labels", self.labels)
        self._build({"scene": "known/later", "frames": (1,), "output": "known/later"} | known)

    def batch(self) -> Batch:
        """The core's description, from rendered arguments.

        Raises:
            ValueError: naming the argument and what to do.
        """
        return self._build(self._given())

    def _given(self) -> dict[str, Any]:
        return {name: getattr(self, _attribute(name)) for name in _FIELDS}

    @staticmethod
    def _build(given: Mapping[str, Any]) -> Batch:
        from octa_provider.batch.batch import Batch

        values: dict[str, Any] = {
            "frames": _frames(given["frames"]),
            "renderer": to_renderer(given.get("renderer")),
            "requirements": to_requirements(given.get("requirements"), {}),
            "check": to_check(given.get("check")),
            "labels": as_texts("labels", given.get("labels")),
            **{name: checked_cap(name, given.get(name)) for name in ("max_cost_usd", "max_duration_s")},
        }
        values.update((name, _path(name, given.get(name))) for name in _TEXTS)
        values.update((name, as_int(name, given.get(name))) for name in _WHOLE)
        values.update((name, as_float(name, given.get(name))) for name in _NUMBERS)
        values.update((name, as_text(name, given.get(name))) for name in _WORDS)
        return Batch(**{name: value for name, value in values.items() if value is not None})


def _frames(value: Any) -> Any:
    """A range, or numbers: native rendering makes a number of `7`, and a tuple of `1,5`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    if isinstance(value, str):
        if as_text("frames", value) is None:
            raise OctaConfigError('frames is empty: say which, such as frames="1-240".')
        return value
    if isinstance(value, list | tuple) and any(isinstance(one, str) for one in value):
        return as_ints("frames", value)
    return value


def _path(name: str, value: Any) -> str | os.PathLike[str] | None:
    if "://" in str(value):
        # On each Airflow an object store's path is something else.
        raise OctaConfigError(
            f"{name}={str(value)!r}: give a path that every worker sees. A batch renames and locks files, and is sent "
            "from files, which object storage has not: fetch the scene first, and copy the frames when they are whole."
        )
    given = value if isinstance(value, os.PathLike) else as_text(name, value)
    if given is None and name in _NEEDED:
        raise OctaConfigError(f"{name} is empty: give {_NEEDED[name]}.")
    return given

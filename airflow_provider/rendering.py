"""What of an operator's arguments is rendered: the text that the author of the DAG wrote, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider.templated import is_known

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

__all__ = ["RendersWhatIsWritten"]


class RendersWhatIsWritten(BaseOperator):
    """What every operator here has in common: how its arguments are rendered.

    What another task returned is data, also where Airflow would render it: file names in the mapping that
    `expand_kwargs` was given by a task. With `render_template_as_native_obj` text stays as it is written, `007` and
    `0,1` too; only what a template gives as a list or a mapping arrives as one.

    Args:
        kwargs: as of every operator.
    """

    #: Arguments that are a mapping: with native rendering, text becomes one, as from `{{ params.wanted | tojson }}`.
    mapping_fields: ClassVar[frozenset[str]] = frozenset()

    _data_ids: frozenset[int] | None = None
    _gives_objects = False

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """As of every operator; but data is left alone, and text stays text."""
        seen = self.known_data(context, seen_oids)
        if id(content) in seen or not isinstance(content, str):
            return super().render_template(content, context, jinja_env, seen)
        if is_known(content):
            # Native rendering would read it as Python.
            return content
        from airflow_provider.native_text import is_native, native_as_written

        environment = jinja_env or self.get_template_env()
        render = super().render_template
        if self._gives_objects or not is_native(environment) or self._is_mapping_field(content):
            return render(content, context, environment, seen)
        return native_as_written(content, environment, lambda text, own: render(text, context, own, seen))

    def known_data(self, context: Context, seen_oids: set[int] | None) -> set[int]:
        """The ids of what is not rendered.

        Args:
            context: of the task that runs.
            seen_oids: those that Airflow told.
        """
        if self._data_ids is None:
            self._data_ids = frozenset(map(id, self._data(context)))
        return {*self._data_ids, *(seen_oids or ())}

    @contextmanager
    def giving_objects(self) -> Iterator[None]:
        """While it is open, native rendering gives what it gives everywhere: such as arguments of a function."""
        before, self._gives_objects = self._gives_objects, True
        try:
            yield
        finally:
            self._gives_objects = before

    def _is_mapping_field(self, content: str) -> bool:
        return any(getattr(self, name) is content for name in self.mapping_fields)

    def _data(self, context: Context) -> Iterator[object]:
        """What a task gave to `expand_kwargs`: Airflow takes it for what the author wrote."""
        from airflow_provider.private_names import is_made_anew

        if not is_made_anew(self) or self.dag is None:
            return
        mapped = self.dag.task_dict.get(self.task_id)
        expand_input = getattr(mapped, "op_kwargs_expand_input", None) or getattr(mapped, "expand_input", None)
        given = getattr(expand_input, "value", None)
        if isinstance(given, list | tuple):
            given = given[context["ti"].map_index or 0]
        if given is None or isinstance(given, Mapping):
            # Of `expand`, or written down: Airflow knows which is which.
            return
        written = set(map(id, _written(getattr(mapped, "partial_kwargs", {}))))
        for name in self.template_fields:
            value = getattr(self, name)
            # Those of a function are put together from both.
            for part in value.values() if name == "op_kwargs" else (value, getattr(value, "given", value)):
                if id(part) not in written:
                    yield part


def _written(partial_kwargs: Mapping[str, Any]) -> Iterator[object]:
    """What the author gave to `partial`."""
    yield from partial_kwargs.values()
    yield from (partial_kwargs.get("op_kwargs") or {}).values()

"""What quotes and renders a batch in Prefect: the core does it; this shows it, and raises where frames are missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octa_provider.batch.batch_quote import BatchQuote
from octa_provider.batch.folder.output_mark import check_mark
from octa_provider.batch.result import BatchOutcome
from octa_provider.batch.run.left_machines import AWAY_S
from octa_provider.batch.run.parts import Pacing
from octa_provider.errors import OctaCancelledError, OctaError
from octa_provider.render.frames import Frames
from octa_provider.text.carried import carried_dict
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline
from prefect_blocks.at_exit import hearing_signals
from prefect_blocks.batch_end import told_of_the_end
from prefect_blocks.batch_report import BatchReport
from prefect_blocks.batch_sheet import BatchSheet, make_sheet
from prefect_blocks.batch_totals import totals_of
from prefect_blocks.frames_missing import FramesMissingError
from prefect_blocks.output_mark import mark_output, output_digest
from prefect_blocks.rental_key import rental_key

if TYPE_CHECKING:
    from prefect.blocks.abstract import LoggerOrAdapter

    from octa_provider import Batch, BatchResult, OctaClient
    from octa_provider.batch.plan import Plan
    from prefect_blocks.credentials import OctaCredentials

__all__ = ["quote_batch", "render_batch"]

#: A range that is longer is told as a number of frames.
MOST_CHARS = 60


def quote_batch(
    batch: Batch, credentials: OctaCredentials, logger: LoggerOrAdapter, *, measure: bool, poll_s: float
) -> dict[str, Any]:
    """What a batch would cost. Spends nothing, unless it measures.

    Args:
        batch: what is to be rendered.
        credentials: the account.
        logger: the run's.
        measure: rent one machine and render three frames where nothing tells what a frame takes; they are kept.
        poll_s: seconds between two looks at that machine.

    Returns:
        The core's `BatchQuote` as a JSON value, with `text` and `markdown`, `output` and `mark`.
    """
    mark = mark_output(batch.output)
    with credentials.get_client() as octa:
        key, report = _begin(batch, octa, logger)
        with hearing_signals(), told_of_the_end() as is_cancelled:
            if measure:
                octa.batches.measure(
                    batch,
                    key,
                    private_key=credentials.private_key,
                    on_event=report.event,
                    is_cancelled=is_cancelled,
                    pacing=_pacing(poll_s),
                )
            # As a render does that begins: an API that is away for a minute costs a minute, and no flow run.
            away = Deadline(octa.clock, AWAY_S)
            quote = ask_until(
                away,
                lambda: octa.batches.quote(batch, is_cancelled=is_cancelled, on_waiting=report.say),
                "the quote of a batch",
            )
        report.say(quote.text)
        report.quote(quote.markdown())
    told = {"text": quote.text, "markdown": quote.markdown(), "output": str(batch.output_path.absolute())}
    return carried_dict({**quote.to_dict(), **told, "mark": mark})


def render_batch(
    batch: Batch,
    credentials: OctaCredentials,
    logger: LoggerOrAdapter,
    *,
    quote: Mapping[str, Any] | None,
    poll_s: float,
) -> dict[str, Any]:
    """Render the frames of a batch that are missing; no machine of it runs when this returns or raises.

    Args:
        batch: what is to be rendered.
        credentials: the account.
        logger: the run's.
        quote: what `quote_batch` returned, once it was approved; None asks nobody.
        poll_s: seconds between two looks at a machine.

    Returns:
        What it came to, as `totals_of` has it.

    Raises:
        FramesMissingError: frames are missing, the budget was reached, or the scene can't be rendered.
        OctaCancelledError: the run is being ended.
        OctaError: as the core's `run`.
    """
    approved = None if quote is None else BatchQuote.from_dict(quote)
    if quote is not None and isinstance(quote.get("mark"), str):
        check_mark(batch.output, quote["mark"])
    mark_output(batch.output)
    quoted: dict[str, float] = {}
    with credentials.get_client() as octa:
        key, report = _begin(batch, octa, logger)

        def note_plan(plan: Plan) -> bool:
            line = plan.chosen
            if line is not None:
                quoted.update(p50=line.cost_usd.p50, p90=line.cost_usd.p90, most=line.cost_most_usd)
                report.expected_usd = line.cost_usd.p50 or None
            return True

        with hearing_signals(), told_of_the_end() as is_cancelled:
            result = octa.batches.run(
                batch,
                key,
                private_key=credentials.private_key,
                on_event=report.event,
                approve=note_plan,
                quote=approved,
                is_cancelled=is_cancelled,
                pacing=_pacing(poll_s),
            )
    if approved is not None:
        line = approved.chosen
        quoted.update(p50=line.cost_p50_usd, p90=line.cost_p90_usd, most=line.cost_most_usd)
    totals = totals_of(result, quoted or None, 0 if approved is None else int(approved.spent_wei))
    sheet = _sheet(batch, result, report)
    if sheet is not None:
        totals["sheet"] = sheet.path
    report.ended(totals, sheet)
    if result.outcome is BatchOutcome.CANCELLED:
        raise OctaCancelledError(result.message or "the run is being ended")
    if not result.is_whole:
        raise FramesMissingError(_why(result), totals)
    return totals


def _begin(batch: Batch, octa: OctaClient, logger: LoggerOrAdapter) -> tuple[str, BatchReport]:
    key = rental_key([], f"render-{output_digest(batch.output_path)}")
    frames = str(Frames(batch.numbers))
    frames = f"Frames {frames}" if len(frames) <= MOST_CHARS else f"{len(batch.numbers)} frames"
    about = f"{frames} of {Path(batch.main_file).name}"
    return key, BatchReport(about, octa.rentals.full_key(key), logger, batch.labels)


def _pacing(poll_s: float) -> Pacing:
    return Pacing(poll_s=poll_s, quiet_s=min(poll_s, Pacing.quiet_s))


def _sheet(batch: Batch, result: BatchResult, report: BatchReport) -> BatchSheet | None:
    if not result.done or result.outcome is BatchOutcome.CANCELLED:
        return None
    try:
        return make_sheet(result.output, Frames(batch.numbers))
    except OctaError as error:
        # Only what is nice to have.
        report.warn(f"There is no contact sheet: {error}")
        return None


def _why(result: BatchResult) -> str:
    count = result.frames - result.done
    said = f"{result.outcome.value}: {count} of {result.frames} frames are missing: {result.missing}"
    reason = result.message or next(iter((result.failed or {}).values()), "")
    return f"{said}; {reason}" if reason else said

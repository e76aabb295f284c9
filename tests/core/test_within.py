"""`within`: as `asyncio.wait_for`, but no cancel is lost."""

from __future__ import annotations

import asyncio

import pytest

from octa_provider.timing.within import within


@pytest.mark.parametrize("turns", range(6))
def test_a_cancel_is_never_lost_whenever_it_comes(turns: int) -> None:
    async def main() -> bool:
        event = asyncio.Event()

        async def work() -> bool:
            return await event.wait()

        task = asyncio.ensure_future(within(work(), 600.0))
        await asyncio.sleep(0.01)
        event.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        is_asked = task.cancel()
        await asyncio.wait({task})
        return task.cancelled() is is_asked

    assert asyncio.run(main())


def test_it_gives_what_the_work_came_to_and_raises_what_it_raised() -> None:
    async def fails() -> None:
        raise KeyError("x")

    async def main() -> None:
        assert await within(asyncio.sleep(0, 7), 600.0) == 7
        with pytest.raises(KeyError):
            await within(fails(), 600.0)

    asyncio.run(main())


def test_work_that_takes_too_long_is_cancelled_and_so_is_that_of_a_cancelled_one() -> None:
    async def main() -> tuple[bool, bool]:
        late, left = asyncio.ensure_future(asyncio.sleep(600)), asyncio.ensure_future(asyncio.sleep(600))
        with pytest.raises(asyncio.TimeoutError):
            await within(late, 0.0)
        task = asyncio.ensure_future(within(left, 600.0))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return late.cancelled(), left.cancelled()

    assert asyncio.run(main()) == (True, True)

"""Every row of the campaign."""

from __future__ import annotations

from tests.chaos.ordinary_faults import ORDINARY_FAULTS
from tests.chaos.platform_faults import PLATFORM_FAULTS

FAULT_SETS = (*PLATFORM_FAULTS, *ORDINARY_FAULTS)

BY_NAME = {fault_set.name: fault_set for fault_set in FAULT_SETS}

"""Runs of Autopilot as a kind of result: which can be asked for, in which order, how counted."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext_lazy as _

from autopilot.ledgers import LEDGER, cycle_from, shown_edit
from autopilot.models import Cycle, Phase
from odavl.wire.autopilot import RUN_PHASES, CycleStatistics, Edit, ShownEdit
from uploads.results.filters import Filter, Sort, choice, moment, text
from uploads.results.ingest import Taken
from uploads.results.kinds import Kind


def statistics(cycles: QuerySet[Cycle]) -> CycleStatistics:
    """One query over ``cycles``."""
    found = cycles.order_by().aggregate(
        runs=Count("pk"),
        completed=Count("pk", filter=Q(phase=Phase.COMPLETED)),
        rolled_back=Count("pk", filter=Q(phase=Phase.ROLLED_BACK)),
        failed=Count("pk", filter=Q(phase=Phase.FAILED)),
        kept=Sum("edits_kept", default=0),
        reverted=Sum("edits_reverted", default=0),
        closed=Sum("findings_closed", default=0),
    )
    ended = found["completed"] + found["rolled_back"] + found["failed"]
    return CycleStatistics(
        runs=found["runs"],
        completed=found["completed"],
        rolled_back=found["rolled_back"],
        failed=found["failed"],
        success_rate=found["completed"] / ended if ended else None,
        edits_kept=found["kept"],
        edits_reverted=found["reverted"],
        findings_closed=found["closed"],
    )


FILTER = Filter(
    criteria=(
        choice("phase", "Only runs in this phase.", {name: Q(phase=name) for name in RUN_PHASES}),
        text("recipe", "Only runs of this recipe.", "selected_recipe"),
        text("runId", "Only the run that the client named so.", "run_id"),
        moment("since", "Only runs that started then or later.", "started_at__gte"),
        moment("until", "Only runs that started before.", "started_at__lt"),
    ),
    sorts={
        "-startedAt": Sort(_("Newest first"), ("-started_at", "-id")),
        "startedAt": Sort(_("Oldest first"), ("started_at", "id")),
        "-findingsClosed": Sort(_("Most findings closed"), ("-findings_closed", "-id")),
        "-filesModified": Sort(_("Most files changed"), ("-files_modified", "-id")),
    },
)
CYCLES: Kind[Cycle, Edit, ShownEdit, CycleStatistics] = Kind(
    model=Cycle,
    room="autopilot",
    noun="run",
    page="cycle",
    name="run_id",
    taken=Taken("The run's id is taken: by another ledger, or in another project.", "/runId"),
    job_type="autopilot.ledger",
    document=LEDGER,
    read=cycle_from,
    shown=shown_edit,
    filter=FILTER,
    statistics=statistics,
)

"""What Insight does with an upload: the receivers of its payload types."""

from __future__ import annotations

from django.db import connection

from insight.addresses import run_address, run_page
from insight.documents import document_of
from insight.failed_runs import CANCELLED, fail_run, refusal, requeue
from insight.ingest import ingest_now, ingest_through, queue_run
from insight.models import Run, RunState
from insight.payload import Document
from jobs.claims import Claim
from jobs.models import Job
from jobs.models import State as JobState
from jobs.services import enqueue
from odavl.wire import limits
from odavl.wire.envelope import UploadAccepted, UploadStored
from uploads.contents import Content
from uploads.documents import check_object
from uploads.models import Upload
from uploads.queries import upload_address

INGEST_JOB = "insight.ingest"
_MANY_NEW = 20_000


def receive_run(upload: Upload, content: Content) -> UploadStored | UploadAccepted:
    """Take in a small payload at once where nothing is in the way, others by a job."""
    is_small = content.size <= limits.MAX_INLINE_INFLATED_SIZE
    branch = upload.metadata.get("branch")
    document: Document | None = None
    # A large document is not opened here when it is known where it belongs.
    if is_small or not branch:
        document = document_of(upload.type, content.pieces, content.size)
        branch = branch or document.header.git.branch
    if document is not None and is_small:
        run = ingest_now(upload, document, branch)
        if run is not None:
            _link_run(upload, run)
            return UploadStored(upload_id=str(upload.pk), run_id=str(run.pk), url=upload.url)
    run = queue_run(upload, branch)
    _link_run(upload, run)
    job = enqueue(
        organization=upload.organization,
        job_type=INGEST_JOB,
        payload={"runId": str(run.pk), "url": upload.url},
        project=upload.project,
    )
    return UploadAccepted(
        upload_id=str(upload.pk), job_id=str(job.pk), status_url=upload_address(upload)
    )


def keep(upload: Upload, content: Content) -> UploadStored:
    """Types that make no run are kept as sent, once it is clear that they are JSON objects."""
    check_object(content)
    return UploadStored(upload_id=str(upload.pk), url=upload_address(upload))


def run_ingest_job(claim: Claim) -> None:
    """Ingest the run that the job names; done already is done.

    Raises what stands against the payload. Paused and resumed, the job goes on with the first run
    of the stream that is not in yet: a run is one transaction, so its own begins anew.
    """
    run = Run.across_organizations.get(pk=claim.payload["runId"])
    ingest_through(run, guard=claim.guard, watch=claim.note)
    run.refresh_from_db(fields=["state", "problem", "new_count"])
    if run.state == RunState.FAILED:
        raise refusal(run)
    if run.new_count > _MANY_NEW:
        # Autovacuum comes within a minute; until then lists are planned for a small table.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE insight_issue")


def page_of_run(job: Job) -> str:
    """The path of the run's page, which tells of one that is not ingested yet, too."""
    return run_page(job.owner, job.payload["runId"])


def fail_ingest(job: Job) -> None:
    """The job will not be tried again; its run will not come by itself."""
    problem = job.error if job.state == JobState.FAILED else None
    fail_run(job.payload["runId"], problem or CANCELLED)


def retry_ingest(job: Job) -> None:
    """A person has the job run again. Raises :class:`~odavl.wire.errors.Conflict`."""
    requeue(job.payload["runId"])


def _link_run(upload: Upload, run: Run) -> None:
    upload.run_id = run.pk
    upload.url = run_address(run)

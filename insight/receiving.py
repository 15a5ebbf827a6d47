"""What Insight does with an upload: the handler registered with ``uploads``."""

from __future__ import annotations

from django.db import connection

from insight.addresses import run_address
from insight.documents import STORED_ONLY, document_of
from insight.ingest import ingest, ingest_through, is_next, receive_run
from insight.models import Run
from insight.payload import Document
from jobs.claims import Claim
from jobs.models import Queue
from jobs.services import enqueue
from odavl.wire import limits
from odavl.wire.encoding import decode_object, gunzip
from odavl.wire.envelope import UploadAccepted, UploadStored
from uploads.addresses import upload_address
from uploads.contents import Content
from uploads.models import Upload

INGEST_JOB = "insight.ingest"
_MANY_NEW = 20_000


class InsightHandler:
    """Small payloads within the request, large ones by a job; both in the stream's order."""

    def receive(self, upload: Upload, content: Content) -> UploadStored | UploadAccepted:
        if upload.type in STORED_ONLY:
            return _keep(upload, content)
        is_small = content.size <= limits.MAX_INLINE_INFLATED_SIZE
        branch = upload.metadata.get("branch")
        document: Document | None = None
        # A large document is not opened here when it is known where it belongs.
        if is_small or not branch:
            document = document_of(upload.type, content.pieces, content.size)
            branch = branch or document.header.git.branch
        run = receive_run(upload=upload, branch=branch)
        upload.run_id = run.pk
        upload.url = run_address(run)
        if document is not None and is_small and is_next(run):
            ingest(run, document)
            return UploadStored(upload_id=str(upload.pk), run_id=str(run.pk), url=upload.url)
        run.save()
        upload.save(update_fields=["run_id", "url"])
        job = enqueue(
            organization=upload.organization,
            job_type=INGEST_JOB,
            payload={"runId": str(run.pk)},
            queue=Queue.BULK,
        )
        return UploadAccepted(
            upload_id=str(upload.pk), job_id=str(job.pk), status_url=upload_address(upload)
        )


def run_ingest_job(claim: Claim) -> None:
    """Take in the run that the job names; done already is done."""
    run = Run.across_organizations.get(pk=claim.payload["runId"])
    ingest_through(run, guard=claim.guard)
    run.refresh_from_db(fields=["new_count"])
    if run.new_count > _MANY_NEW:
        # Autovacuum comes within a minute; until then lists are planned for a small table.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE insight_issue")


def _keep(upload: Upload, content: Content) -> UploadStored:
    """Types that make no run are kept as sent, once it is clear that they are JSON objects."""
    decode_object(gunzip(content.pieces(), limit=limits.MAX_ENVELOPE_SIZE))
    return UploadStored(upload_id=str(upload.pk), url=upload_address(upload))

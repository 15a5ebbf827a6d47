"""What Guardian does with an upload: the receivers of its payload types."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from guardian.addresses import page_test_address
from guardian.images import picture_of
from guardian.models import PageTest, Report, Screenshot
from guardian.results import page_test_from
from jobs.claims import Claim
from odavl.wire import limits
from odavl.wire.encoding import gunzip_pieces, shortened
from odavl.wire.envelope import UploadAccepted, UploadStored
from odavl.wire.errors import Duplicate, FieldError, InvalidPayload
from odavl.wire.guardian import AccessibilityReport, LighthouseReport
from storage.naming import safe_name
from uploads.addresses import upload_address
from uploads.contents import Content
from uploads.deferred import put_off
from uploads.kept_documents import check_object, read_whole
from uploads.models import Upload

RESULTS_JOB = "guardian.results"
_Scorer = Callable[[Content], dict[str, float]]
_MAX_SCORES = 20
_PERCENT = 100


def receive_results(upload: Upload, content: Content) -> UploadStored | UploadAccepted:
    """Results become tests; large ones by a job."""
    if content.size > limits.MAX_INLINE_INFLATED_SIZE:
        return put_off(upload, job_type=RESULTS_JOB)
    return _take_in(upload, content)


def take_in_later(upload: Upload, content: Content, claim: Claim) -> UploadStored:
    """Take in the large results that the job names."""
    return _take_in(upload, content, watch=claim.note)


def _take_in(
    upload: Upload, content: Content, watch: Callable[[int], None] | None = None
) -> UploadStored:
    """A test of the results; the same results once more are the same test.

    Raises :class:`Duplicate` for others under the same id.
    """
    test = page_test_from(content, watch=watch) if watch else page_test_from(content)
    test.organization, test.project, test.upload = upload.organization, upload.project, upload
    # Two uploads of the same results may race; the unique constraint decides, both get its row.
    PageTest.across_organizations.bulk_create([test], ignore_conflicts=True)
    rows = PageTest.objects.for_organization(upload.organization).select_related("organization")
    kept: PageTest = rows.get(test_run_id=test.test_run_id)
    if kept.sha256 != test.sha256 or kept.project_id != upload.project_id:
        raise Duplicate(
            "The test's id is taken: by other results, or in another project.",
            errors=(FieldError("/testRunId", "duplicate", "Taken."),),
        )
    return UploadStored(upload_id=str(upload.pk), test_id=str(kept.pk), url=page_test_address(kept))


def keep_screenshot(upload: Upload, content: Content) -> UploadStored:
    """Raises :class:`Duplicate` for another picture under the same name of the same test."""
    picture = picture_of(gunzip_pieces(content.pieces()))
    ending = picture.content_type.removeprefix("image/").replace("jpeg", "jpg")
    named = upload.metadata.get("fileName") or f"{content.sha256[:12]}.{ending}"
    screenshot = Screenshot(
        organization=upload.organization,
        project=upload.project,
        upload=upload,
        test_run_id=_test_run_id(upload),
        name=safe_name(named),
        sha256=content.sha256,
        content_type=picture.content_type,
        width=picture.width,
        height=picture.height,
        size=content.size,
    )
    Screenshot.across_organizations.bulk_create([screenshot], ignore_conflicts=True)
    if screenshot.test_run_id:
        rows = Screenshot.objects.for_organization(upload.organization)
        kept = rows.get(
            project=upload.project, test_run_id=screenshot.test_run_id, name=screenshot.name
        )
        _check_same(kept.sha256, content, "another picture of this name")
    return UploadStored(upload_id=str(upload.pk), url=upload_address(upload))


def keep_report(upload: Upload, content: Content, *, score: _Scorer) -> UploadStored:
    """Raises :class:`Duplicate` for another report of the same test."""
    report = Report(
        organization=upload.organization,
        project=upload.project,
        upload=upload,
        test_run_id=_test_run_id(upload),
        type=upload.type,
        sha256=content.sha256,
        scores=_scores(content, score),
    )
    Report.across_organizations.bulk_create([report], ignore_conflicts=True)
    if report.test_run_id:
        rows = Report.objects.for_organization(upload.organization)
        kept = rows.get(project=upload.project, test_run_id=report.test_run_id, type=report.type)
        _check_same(kept.sha256, content, "another report of this type")
    return UploadStored(upload_id=str(upload.pk), url=upload_address(upload))


def _check_same(known: str, content: Content, what: str) -> None:
    if known != content.sha256:
        raise Duplicate(
            f"The test has {what}.",
            errors=(FieldError("/metadata/testRunId", "duplicate", "Taken."),),
        )


def _test_run_id(upload: Upload) -> str:
    named = upload.metadata.get("testRunId", "")
    if len(named) > limits.MAX_RUN_ID_LENGTH:
        raise InvalidPayload(
            f"testRunId may have {limits.MAX_RUN_ID_LENGTH} characters.",
            errors=(FieldError("/metadata/testRunId", "too_long", "Too long."),),
        )
    return shortened(named, limits.MAX_RUN_ID_LENGTH)


def _scores(content: Content, score: _Scorer) -> dict[str, float]:
    """From 0 to 100; none of a report that is too large to be held."""
    if content.size > limits.MAX_ENVELOPE_SIZE:
        check_object(content)
        return {}
    return score(content)


def score_lighthouse(content: Content) -> dict[str, float]:
    found = read_whole(content, _LIGHTHOUSE, most=limits.MAX_ENVELOPE_SIZE)
    return {
        shortened(name, limits.MAX_NAME_LENGTH): round(_PERCENT * category.score, 1)
        for name, category in list(found.categories.items())[:_MAX_SCORES]
        if category.score is not None
    }


def score_accessibility(content: Content) -> dict[str, float]:
    report = read_whole(content, _ACCESSIBILITY, most=limits.MAX_ENVELOPE_SIZE)
    return {} if report.score is None else {"accessibility": report.score}


_LIGHTHOUSE = msgspec.json.Decoder(LighthouseReport)
_ACCESSIBILITY = msgspec.json.Decoder(AccessibilityReport)

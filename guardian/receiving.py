"""What Guardian does with an upload: the receivers of its payload types."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from guardian.images import picture_of
from guardian.models import Report, Screenshot
from odavl.wire import limits
from odavl.wire.encoding import gunzip_pieces, shortened
from odavl.wire.envelope import UploadStored
from odavl.wire.errors import FieldError, InvalidPayload
from odavl.wire.guardian import AccessibilityReport, LighthouseReport
from storage.naming import safe_name
from uploads.contents import Content
from uploads.documents import check_object, read_whole
from uploads.models import Upload
from uploads.queries import upload_address
from uploads.results.ingest import Taken, insert_once

_Scorer = Callable[[Content], dict[str, float]]
_MAX_SCORES = 20
_PERCENT = 100
_ANOTHER_PICTURE = Taken("The test has another picture of this name.", "/metadata/testRunId")
_ANOTHER_REPORT = Taken("The test has another report of this type.", "/metadata/testRunId")


def keep_screenshot(upload: Upload, content: Content) -> UploadStored:
    """Raises :class:`Duplicate` for another picture under the same name of the same test."""
    picture = picture_of(gunzip_pieces(content.pieces()))
    ending = picture.content_type.removeprefix("image/").replace("jpeg", "jpg")
    named = upload.metadata.get("fileName") or f"{content.sha256[:12]}.{ending}"
    screenshot = Screenshot(
        test_run_id=_test_run_id(upload),
        name=safe_name(named),
        sha256=content.sha256,
        content_type=picture.content_type,
        width=picture.width,
        height=picture.height,
        size=content.size,
    )
    name = ("project", "test_run_id", "name") if screenshot.test_run_id else ()
    insert_once(screenshot, upload, name=name, taken=_ANOTHER_PICTURE)
    return UploadStored(upload_id=str(upload.pk), url=upload_address(upload))


def keep_report(upload: Upload, content: Content, *, score: _Scorer) -> UploadStored:
    """Raises :class:`Duplicate` for another report of the same test."""
    report = Report(
        test_run_id=_test_run_id(upload),
        type=upload.type,
        sha256=content.sha256,
        scores=_scores(content, score),
    )
    name = ("project", "test_run_id", "type") if report.test_run_id else ()
    insert_once(report, upload, name=name, taken=_ANOTHER_REPORT)
    return UploadStored(upload_id=str(upload.pk), url=upload_address(upload))


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

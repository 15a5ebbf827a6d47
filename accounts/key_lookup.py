"""An API key with its organization and project, by its digest: the query of every API request.

The key says which organization it belongs to, so this one look-up cannot be scoped.
"""

from __future__ import annotations

from accounts.models import ApiKey, Organization, Project
from frame.database.prepared import Statement

_KEY = Statement(
    "SELECT {columns} FROM accounts_apikey"
    " JOIN accounts_organization ON accounts_organization.id = accounts_apikey.organization_id"
    " LEFT JOIN accounts_project ON accounts_project.id = accounts_apikey.project_id"
    " WHERE accounts_apikey.digest = %s",
    ApiKey,
    Organization,
    Project,
)


def key_by_digest(digest: str) -> ApiKey | None:
    """The key, its related rows loaded, whether it is still good or not; None if unknown."""
    row = _KEY.first([digest])
    if row is None:
        return None
    key: ApiKey
    key, key.organization, project = row
    if project is not None:
        key.project = project
    return key

"""What accounts write. Every service takes domain objects and says in the audit log what it did."""

from accounts.services.audit import record
from accounts.services.keys import create_api_key, revoke_api_key, scopes_from
from accounts.services.people import (
    Owner,
    add_member,
    change_role,
    create_organization,
    create_owner,
    create_user,
    remove_member,
)
from accounts.services.projects import (
    DEFAULT_PROJECT_NAME,
    change_project,
    create_project,
    entity_tag,
    find_or_create_project,
    slug_of,
)

__all__ = [
    "DEFAULT_PROJECT_NAME",
    "Owner",
    "add_member",
    "change_project",
    "change_role",
    "create_api_key",
    "create_organization",
    "create_owner",
    "create_project",
    "create_user",
    "entity_tag",
    "find_or_create_project",
    "record",
    "remove_member",
    "revoke_api_key",
    "scopes_from",
    "slug_of",
]

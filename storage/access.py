"""Who may read a file and who may change it: the one answer for every door to it.

Changing is sending its bytes or a part, asking where they go, completing, aborting and deleting.
Whoever is held to a project, by the key or by a header, reads what the organization shares and
changes nothing outside that project.
"""

from __future__ import annotations

from django.db.models import Q

from accounts.principal import Principal
from odavl.wire.errors import OdavlError
from storage.models import Access, StoredFile


def readable(principal: Principal) -> Q:
    """The condition that holds for the files of the organization that ``principal`` may read.

    PUBLIC and ORGANIZATION: everybody in the organization. PROJECT: whoever is not held to another
    project. PRIVATE: the key or the person that uploaded it, and who has ``storage:admin`` for the
    whole organization, as somebody must be able to clear up.
    """
    shared = Q(access__in=(Access.PUBLIC, Access.ORGANIZATION))
    if principal.project is not None:
        in_project = Q(access=Access.PROJECT) | _own(principal)
        return shared | (Q(project=principal.project) & in_project)
    if principal.may("storage:admin"):
        return Q()
    return shared | Q(access=Access.PROJECT) | _own(principal)


def require_change(principal: Principal, file: StoredFile) -> None:
    """Raise unless ``principal`` may change a file that it may read.

    :class:`~odavl.wire.errors.WrongScope` outside of its project;
    :class:`~odavl.wire.errors.MissingScope` where the file is somebody else's, which needs
    ``storage:admin``, or it may write none.
    """
    principal.require_project(file.project_id)
    principal.require("storage:write" if uploaded_by(principal, file) else "storage:admin")


def may_change(principal: Principal, file: StoredFile) -> bool:
    """As :func:`require_change`."""
    try:
        require_change(principal, file)
    except OdavlError:
        return False
    return True


def uploaded_by(principal: Principal, file: StoredFile) -> bool:
    """A key uploaded what came through it; a person, what they or any key they made uploaded."""
    if principal.key is not None:
        return file.api_key_id == principal.key.pk
    return principal.user_id is not None and file.uploaded_by_id == principal.user_id


def _own(principal: Principal) -> Q:
    """As :func:`uploaded_by`: a key does not see what its maker keeps private."""
    if principal.key is not None:
        return Q(api_key=principal.key)
    return Q(uploaded_by_id=principal.user_id, uploaded_by__isnull=False)

"""The API of accounts: parse, one call, render."""

from __future__ import annotations

import uuid

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import queries, services
from accounts import rendering as show
from accounts.idempotency import CredentialSeal, respond_once
from accounts.models import Project
from accounts.principal import Principal, principal_of
from frame.bodies import moment_of, read_body
from frame.documentation import ANY_KEY, IDEMPOTENCY_KEY, IF_MATCH, PAGE, Parameter, documented
from frame.paging import bad_parameter, paginate
from odavl.wire import account as wire

_NEW_PROJECT = msgspec.json.Decoder(wire.NewProject)
_PROJECT_CHANGE = msgspec.json.Decoder(wire.ProjectChange)
_NEW_KEY = msgspec.json.Decoder(wire.NewKey)
_PROJECT_ORDERS: dict[str, tuple[str, ...]] = {
    "name": ("name", "id"),
    "-name": ("-name", "-id"),
    "createdAt": ("created_at", "id"),
    "-createdAt": ("-created_at", "-id"),
}
_TEXT = Parameter("q", "Only projects whose name has this text in it.")
_ORDER = Parameter(
    "sort", "The order.", {"type": "string", "enum": list(_PROJECT_ORDERS), "default": "name"}
)
_ACTION = Parameter("action", "Only events of this action, such as `api_key.created`.")


class WhoAmIView(APIView):
    required_scopes = {"GET": ANY_KEY}

    @documented("Tell whose key this is", responses={200: wire.WhoAmI})
    def get(self, request: Request) -> Response:
        return Response(show.who_am_i(principal_of(request)))


class ProjectsView(APIView):
    required_scopes = {"GET": "projects:read", "POST": "projects:write"}

    @documented(
        "List projects", responses={200: wire.ProjectPage}, parameters=(*PAGE, _TEXT, _ORDER)
    )
    def get(self, request: Request) -> Response:
        order = _PROJECT_ORDERS.get(request.query_params.get("sort", "name"))
        if order is None:
            raise bad_parameter("sort", f"must be one of {', '.join(_PROJECT_ORDERS)}")
        rows = queries.projects_of(principal_of(request))
        text = request.query_params.get("q")
        if text:
            rows = rows.filter(name__icontains=text)
        return paginate(request, rows, order=order, show=show.project_summary, count=True)

    @documented(
        "Make a project",
        request=wire.NewProject,
        responses={201: wire.ProjectSummary},
        parameters=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request) -> Response:
        principal = principal_of(request)
        wanted = read_body(request, _NEW_PROJECT)

        def make() -> tuple[int, wire.ProjectSummary]:
            project = services.create_project(
                by=principal,
                name=wanted.name,
                git_remote=wanted.git_remote,
                default_branch=wanted.default_branch,
            )
            return 201, show.project_summary(project)

        return respond_once(request, make, project=principal.project)


class ProjectView(APIView):
    required_scopes = {"GET": "projects:read", "PATCH": "projects:write"}

    @documented("Show a project, by its id or slug", responses={200: wire.ProjectSummary})
    def get(self, request: Request, project: str) -> Response:
        return _project_response(queries.project_of(principal_of(request), project))

    @documented(
        "Change a project",
        request=wire.ProjectChange,
        responses={200: wire.ProjectSummary},
        parameters=(IF_MATCH,),
    )
    def patch(self, request: Request, project: str) -> Response:
        principal = principal_of(request)
        found = queries.project_of(principal, project)
        changed = services.change_project(
            by=principal,
            project=found,
            change=read_body(request, _PROJECT_CHANGE),
            if_match=request.headers.get("If-Match"),
        )
        return _project_response(changed)


class ApiKeysView(APIView):
    required_scopes = {"GET": "projects:admin", "POST": "projects:admin"}

    @documented("List API keys", responses={200: wire.KeyPage}, parameters=PAGE)
    def get(self, request: Request) -> Response:
        rows = queries.api_keys_of(principal_of(request))
        return paginate(
            request, rows, order=("-created_at", "-id"), show=show.key_summary, count=True
        )

    @documented(
        "Make an API key",
        description="The answer is the only place where the key itself stands.",
        request=wire.NewKey,
        responses={201: wire.CreatedKey},
        parameters=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request) -> Response:
        principal = principal_of(request)
        wanted = read_body(request, _NEW_KEY)
        project = _project_for_key(principal, wanted.project_id)

        def make() -> tuple[int, wire.CreatedKey]:
            key, token = services.create_api_key(
                by=principal,
                name=wanted.name,
                scopes=services.scopes_from(scopes=wanted.scopes, preset=wanted.preset),
                project=project,
                expires_at=moment_of(wanted.expires_at),
            )
            return 201, show.created_key(key, token)

        return respond_once(
            request,
            make,
            project=project or principal.project,
            seal=CredentialSeal(request.headers["Authorization"]),
        )


class ApiKeyView(APIView):
    required_scopes = {"GET": "projects:admin", "DELETE": "projects:admin"}

    @documented("Show an API key", responses={200: wire.KeySummary})
    def get(self, request: Request, key_id: uuid.UUID) -> Response:
        return Response(show.key_summary(queries.api_key_of(principal_of(request), key_id)))

    @documented("Revoke an API key", responses={204: None})
    def delete(self, request: Request, key_id: uuid.UUID) -> Response:
        principal = principal_of(request)
        services.revoke_api_key(by=principal, key=queries.api_key_of(principal, key_id))
        return Response(status=204)


class AuditView(APIView):
    required_scopes = {"GET": "projects:admin"}

    @documented(
        "Read the audit log, newest first",
        responses={200: wire.AuditPage},
        parameters=(*PAGE, _ACTION),
    )
    def get(self, request: Request) -> Response:
        rows = queries.audit_of(principal_of(request))
        action = request.query_params.get("action")
        if action:
            rows = rows.filter(action=action)
        return paginate(request, rows, order=("-created_at", "-id"), show=show.audit_entry)


def _project_response(project: Project) -> Response:
    return Response(show.project_summary(project), headers={"ETag": services.entity_tag(project)})


def _project_for_key(principal: Principal, project_id: str | None) -> Project | None:
    if project_id is None:
        return None
    return services.find_or_create_project(principal, project_id=project_id)

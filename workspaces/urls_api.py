from django.urls import path

from workspaces import api

urlpatterns = [
    path("sync/workspace/<str:project>", api.WorkspaceView.as_view()),
    path("sync/workspace/<str:project>/missing", api.MissingView.as_view()),
    path("sync/workspace/<str:project>/chunks/<str:sha256>", api.WorkspaceChunkView.as_view()),
    path("sync/workspace/<str:project>/revisions", api.RevisionsView.as_view()),
    path("sync/workspace/<str:project>/revisions/<int:number>", api.RevisionView.as_view()),
]

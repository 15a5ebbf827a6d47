from django.urls import path

from uploads import api

urlpatterns = [
    path("upload/options", api.OptionsView.as_view(), name="upload-options"),
    path("upload/<str:product>", api.UploadView.as_view(), name="upload"),
    path(
        "upload/<str:product>/<uuid:upload_id>",
        api.UploadStatusView.as_view(),
        name="upload-status",
    ),
    path("upload/<str:product>/init", api.InitView.as_view()),
    path("upload/<str:product>/chunk", api.PlainChunkView.as_view()),
    path("upload/<str:product>/finalize", api.FinalizeView.as_view()),
    path(
        "upload/<str:product>/<uuid:upload_id>/chunks/<str:sha256>",
        api.ChunkView.as_view(),
    ),
]

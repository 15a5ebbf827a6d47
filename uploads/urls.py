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
]

from django.urls import path

from storage import api, signed

urlpatterns = [
    path("storage/upload-url", api.UploadUrlView.as_view(), name="storage-upload-url"),
    path("storage/download-url", api.DownloadUrlView.as_view(), name="storage-download-url"),
    path("storage/files", api.FilesView.as_view(), name="storage-files"),
    path("storage/files/<uuid:file_id>", api.FileView.as_view(), name="storage-file"),
    path("storage/public/<uuid:file_id>", api.PublicFileView.as_view(), name="public-file"),
    path("storage/stats", api.StatsView.as_view(), name="storage-stats"),
    path("storage/multipart/init", api.MultipartInitView.as_view(), name="multipart-init"),
    path("storage/multipart/part", api.MultipartPartView.as_view(), name="multipart-part"),
    path(
        "storage/multipart/complete", api.MultipartCompleteView.as_view(), name="multipart-complete"
    ),
    path("storage/multipart/abort", api.MultipartAbortView.as_view(), name="multipart-abort"),
    path("storage/signed/<str:ticket>", signed.SignedView.as_view(), name="storage-signed"),
]

"""Object stores: one interface over the local disk, S3 and Azure Blob. Knows no Django."""

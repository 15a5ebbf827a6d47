"""Where the hub serves its own signed addresses; needed before Django knows any model."""

SIGNED_PATH = "/api/v1/storage/signed/"

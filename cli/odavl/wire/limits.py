"""Bounds that both sides of the wire hold to. Sizes are bytes unless a name says otherwise."""

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE

MAX_ENVELOPE_SIZE = 16 * MEBIBYTE
"""Largest request body of ``POST /upload/{product}``, as it crosses the wire."""

MAX_PAYLOAD_SIZE = 100 * MEBIBYTE
"""Largest single payload, as it crosses the wire; larger ones travel in chunks."""

MAX_INFLATED_SIZE = 1024 * MEBIBYTE
"""Largest payload after decompression."""

MAX_INLINE_INFLATED_SIZE = 1 * MEBIBYTE
"""Largest decompressed payload that is ingested within the request; a larger one gets a job."""

CHUNK_SIZE = 5 * MEBIBYTE
"""Largest chunk; a payload that is larger travels in chunks."""

MAX_CONCURRENCY = 4
MAX_CHUNKS = 5_000
"""Most chunks of one transfer."""

MAX_OPEN_TRANSFERS = 100
"""Most transfers of one API key that are under way; the rows of their chunks are bounded, too."""
MAX_OPEN_CHUNKS = 100_000
MAX_ORGANIZATION_TRANSFERS = 400
MAX_ORGANIZATION_CHUNKS = 300_000

MAX_TRANSFER_SIZE = MAX_INFLATED_SIZE
"""Largest payload in chunks, uncompressed."""

MAX_METADATA_SIZE = 64 * KIBIBYTE
MAX_NESTING = 200
"""Deepest nesting of arrays and objects in a JSON document."""

MAX_LINE_NUMBER = 2**31 - 1
"""Largest line or column: what a database integer holds."""

MAX_PATH_LENGTH = 1024
MAX_RULE_LENGTH = 200
MAX_DETECTOR_LENGTH = 80
MAX_UNREAD_FILES = 200
"""Files that one detector could not look at, by name; of more, the number is told."""
MAX_MESSAGE_LENGTH = 4_000
MAX_SNIPPET_LENGTH = 4_000
MAX_FIX_LENGTH = 8_000
MAX_URL_LENGTH = 2_000
MAX_BRANCH_LENGTH = 255
MAX_RUN_ID_LENGTH = 200
"""Of the id that a client gives an Autopilot run or a Guardian test."""
MAX_DIFF_LENGTH = 64 * KIBIBYTE
"""Characters of one edit's difference that are shown; the payload keeps all of it."""
MAX_SHOWN = 200
"""Edits of a run, and checks of a test, that are told with it; the payload keeps all of them."""
MAX_NAME_LENGTH = 100
MAX_IDEMPOTENCY_KEY_LENGTH = 255
DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 200
MIN_SIGNED_URL_SECONDS = 60
MAX_SIGNED_URL_SECONDS = 3_600
SIGNED_URL_SECONDS = 3_600
"""How long a signed address is good for unless something else is asked for."""
PART_SIZE = 5 * MEBIBYTE
"""Of a file that is uploaded in parts; S3 takes no smaller ones."""
MAX_PARTS = 10_000

MAX_WORKSPACE_FILES = 10_000
"""Most files of ``.odavl/`` that travel between machines."""
MAX_WORKSPACE_FILE_SIZE = 100 * MEBIBYTE
MAX_WORKSPACE_SIZE = 1024 * MEBIBYTE
MAX_MANIFEST_SIZE = 8 * MEBIBYTE
"""Largest manifest of a workspace, as JSON."""
MAX_WORKSPACE_PATH_LENGTH = 512
MAX_WORKSPACE_NAME_BYTES = 180
"""Of one step of a path: with what marks a conflict's copy it still fits every file system."""
MAX_WORKSPACE_DEPTH = 16

"""The hub's one settings file.

Everything that differs between installations is read from the environment (docs/settings.md lists
it); `make run` fills in what is not given.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONCE, SELF
from django.utils.translation import gettext_lazy as _

from odavl_hub import env

BASE_DIR = Path(__file__).resolve().parent.parent

# ── Where things lie ──────────────────────────────────────────────────────────
ODAVL_DATA = env.folder("ODAVL_DATA", BASE_DIR / ".data")
PORT = env.integer("PORT", 8000)
PUBLIC_URL = env.text("ODAVL_PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")

# ── Safety ────────────────────────────────────────────────────────────────────
DEBUG = env.boolean("DEBUG", default=False)
INSECURE_SECRET_KEY = "insecure-for-tests-and-checks-only-" + "0" * 32
SECRET_KEY = env.text("SECRET_KEY", INSECURE_SECRET_KEY)
API_KEY_PEPPER = env.text("API_KEY_PEPPER", SECRET_KEY)
"""Keys the HMAC of API keys; changing it revokes them all."""
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ("127.0.0.1", "localhost", "[::1]"))
_HTTPS = PUBLIC_URL.startswith("https://")
# Behind a proxy that is not named below, the hub itself only sees plain HTTP.
CSRF_TRUSTED_ORIGINS = [
    *env.words("CSRF_TRUSTED_ORIGINS"),
    *(["https://" + urlsplit(PUBLIC_URL).netloc] if _HTTPS else []),
]
TRUSTED_PROXIES = env.words("TRUSTED_PROXIES")
"""Networks of reverse proxies, which may say for whom they ask; read by frame.proxies."""
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SECURE_HSTS_SECONDS = env.integer("SECURE_HSTS_SECONDS", 31_536_000 if _HTTPS else 0)
SECURE_SSL_REDIRECT = env.boolean("SECURE_SSL_REDIRECT", default=False)
# Only what trusted proxies sent gets this far.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
USE_X_FORWARDED_HOST = USE_X_FORWARDED_PORT = False
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        # Charts and progress bars set their sizes through style attributes.
        "style-src": [SELF, "'unsafe-inline'"],
        "img-src": [SELF, "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": [SELF],
    }
}

# ── What it is made of ────────────────────────────────────────────────────────
INSTALLED_APPS = [
    "odavl_hub.apps.HubConfig",
    "dashboard.apps.DashboardConfig",
    "insight.apps.InsightConfig",
    "autopilot.apps.AutopilotConfig",
    "guardian.apps.GuardianConfig",
    "uploads.apps.UploadsConfig",
    "teams.apps.TeamsConfig",
    "workspaces.apps.WorkspacesConfig",
    "storage.apps.StorageConfig",
    "jobs.apps.JobsConfig",
    "accounts.apps.AccountsConfig",
    "frame.apps.FrameConfig",
    "odavl_hub.apps.OperatorsConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
]
if find_spec("django_linear_migrations"):
    # For those who write migrations: two branches that both add one collide in a merge, not later.
    INSTALLED_APPS.append("django_linear_migrations")
MIDDLEWARE = [
    "frame.proxies.ClientAddressMiddleware",
    "frame.request_ids.RequestIdMiddleware",
    "frame.middleware.ApiFrameMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "frame.middleware.PageLanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "odavl_hub.throttling.ThrottlingMiddleware",
]
ROOT_URLCONF = "odavl_hub.urls"
WSGI_APPLICATION = "odavl_hub.wsgi.application"
TEMPLATES: list[dict[str, object]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "odavl_hub" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    }
]

# ── Database, messages, cache ─────────────────────────────────────────────────
DATABASES = {
    "default": dj_database_url.parse(
        env.text("DATABASE_URL", "postgresql://odavl@127.0.0.1:5432/odavl"),
        conn_max_age=env.integer("DATABASE_CONN_MAX_AGE", 600),
        conn_health_checks=True,
    )
}
# A database that does not even answer the door must not hold a request for minutes.
DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
# Seconds that a lock is waited for, that a statement may take, and that a transaction may do
# nothing; 0 for no bound. A worker's are those of the longest job; a migration rather fails than
# lets everybody wait behind it for a table.
DATABASE_TIMEOUTS = {
    "web": env.seconds("DATABASE_TIMEOUTS_WEB", (2, 30, 60)),
    "worker": env.seconds("DATABASE_TIMEOUTS_WORKER", (30, 1_800, 600)),
    "relay": env.seconds("DATABASE_TIMEOUTS_RELAY", (5, 300, 60)),
    "migration": env.seconds("DATABASE_TIMEOUTS_MIGRATION", (10, 21_600, 3_600)),
    "command": env.seconds("DATABASE_TIMEOUTS_COMMAND", (30, 3_600, 3_600)),
}
# Nor must one behind a line that is gone: what nobody acknowledges ends a connection after 30 s.
for _name, _value in {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}.items():
    DATABASES["default"]["OPTIONS"].setdefault(_name, _value)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.text("REDIS_URL", "redis://127.0.0.1:6379/0")
# What libraries cache; sign-in limits are counted in Redis (frame.rate_limits).
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "odavl_cache",
    }
}

# ── Jobs ──────────────────────────────────────────────────────────────────────
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "queue_order_strategy": "priority",
    "priority_steps": [0, 3, 6, 9],
    # A dead broker must not keep the request that enqueues; the relay sends later.
    "max_retries": 1,
    "interval_start": 0,
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
}
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A message that a worker holds in advance is one that no more urgent one can overtake.
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_TIMEZONE = "UTC"

# ── People ────────────────────────────────────────────────────────────────────
AUTH_USER_MODEL = "accounts.User"
SILENCED_SYSTEM_CHECKS = [
    # Addresses are unique whatever their case: an index over lower(email), which it overlooks.
    "auth.W004",
    # Whether the sibling hosts of this one speak HTTPS, we cannot promise for its operator.
    "security.W005",
    "security.W021",
]
AUTHENTICATION_BACKENDS = ["accounts.sign_in.GuardedBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_FORMS = {"change_password": "accounts.sign_in.ChangePasswordForm"}
# Ours (accounts.brute_force) hold at every door, do not shut people out, and say how long to wait.
ACCOUNT_RATE_LIMITS = False
SIGNUP_OPEN = env.boolean("ODAVL_SIGNUP_OPEN", default=False)
# Who makes an account shows that the mailbox is theirs. So the page says the same whether there is
# an account already or not: only the message tells.
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if SIGNUP_OPEN else "none"
EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = env.integer("EMAIL_PORT", 587, at_least=1)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_SSL = env.boolean("EMAIL_USE_SSL", default=False)
EMAIL_USE_TLS = env.boolean("EMAIL_USE_TLS", default=not EMAIL_USE_SSL)
EMAIL_TIMEOUT = 10
_NO_MAIL = "django.core.mail.backends.dummy.EmailBackend"
EMAIL_BACKEND_ASKED_FOR = env.text(
    "EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend" if EMAIL_HOST else _NO_MAIL
)
# Letters hold links that let somebody in: they are sent, or not made, and never printed to a log.
EMAIL_BACKEND = (
    _NO_MAIL
    if EMAIL_BACKEND_ASKED_FOR.endswith("console.EmailBackend")
    else EMAIL_BACKEND_ASKED_FOR
)
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "odavl@localhost")

# How long what is over is kept, in days; 0 is for ever.
AUDIT_DAYS = env.integer("AUDIT_DAYS", 365, at_least=0)
RUN_DAYS = env.integer("RUN_DAYS", 0, at_least=0)
PAYLOAD_DAYS = env.integer("PAYLOAD_DAYS", 0, at_least=0)
JOB_DAYS = env.integer("JOB_DAYS", 7, at_least=0)
TRANSFER_DAYS = env.integer("TRANSFER_DAYS", 30, at_least=0)

# ── Languages ─────────────────────────────────────────────────────────────────
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ar", _("Arabic"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True

# ── Files ─────────────────────────────────────────────────────────────────────
STATIC_URL = "/static/"
STATIC_ROOT = env.folder("STATIC_ROOT", BASE_DIR / "staticfiles")
STATICFILES_DIRS = [BASE_DIR / "odavl_hub" / "static"]
STORAGE_PROVIDER = env.text("STORAGE_PROVIDER", "local")
STORAGES: dict[str, dict[str, object]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Objects (payloads, chunks, files) lie in the one place that STORAGE_PROVIDER names; what each of
# its settings means, storage.configuration knows.
S3_BUCKET = env.text("S3_BUCKET", "odavl")
S3_ENDPOINT_URL = env.text("S3_ENDPOINT_URL")
S3_PUBLIC_ENDPOINT_URL = env.text("S3_PUBLIC_ENDPOINT_URL")
S3_REGION = env.text("S3_REGION")
S3_ACCESS_KEY = env.text("S3_ACCESS_KEY")
S3_SECRET_KEY = env.text("S3_SECRET_KEY")
S3_ADDRESSING_STYLE = env.text("S3_ADDRESSING_STYLE", "auto")
AZURE_CONTAINER = env.text("AZURE_CONTAINER", "odavl")
AZURE_CONNECTION_STRING = env.text("AZURE_CONNECTION_STRING")
WEB_THREADS = env.integer("WEB_THREADS", 4, at_least=1)
"""Of which half may ask a remote store at once."""
STORAGE_MAX_FILE_SIZE = env.integer("STORAGE_MAX_FILE_SIZE", 100 * 1024 * 1024, at_least=1)
STORAGE_GRACE_HOURS = env.integer("STORAGE_GRACE_HOURS", 24, at_least=2)
"""How old bytes must be to go because nothing refers to them: longer than any upload lasts."""
STORAGE_CONTENT_TYPES = env.words("STORAGE_CONTENT_TYPES")
"""Content types of files beside those that storage.naming lists."""

# How many clients of one web process may follow a job by events at once; others poll.
EVENT_STREAMS = 100

# ── API ───────────────────────────────────────────────────────────────────────
APPEND_SLASH = False
# Bodies are bounded where they are read (uploads/), by what odavl.wire.limits says.
DATA_UPLOAD_MAX_MEMORY_SIZE = 128 * 1024 * 1024
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["frame.rendering.WireRenderer"],
    "DEFAULT_PARSER_CLASSES": ["frame.rendering.WireParser"],
    "DEFAULT_SCHEMA_CLASS": "frame.openapi.WireSchema",
    "EXCEPTION_HANDLER": "frame.errors.handle",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "frame.rendering.JsonNegotiation",
    "DEFAULT_METADATA_CLASS": None,
    "UNAUTHENTICATED_USER": None,
    # Whom a throttle counts: REMOTE_ADDR, which frame.proxies has settled.
    "NUM_PROXIES": 0,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "ODAVL hub",
    "DESCRIPTION": "What the hub receives, tracks and shows.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": [],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "OAS_VERSION": "3.1.0",
    "PREPROCESSING_HOOKS": [],
    "POSTPROCESSING_HOOKS": [],
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "apiKey": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key, `odavl_key_…`; `odavl keys create` makes one.",
            }
        }
    },
}

# ── Logs ──────────────────────────────────────────────────────────────────────
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "frame.request_ids.RequestIdFilter"}},
    "formatters": {
        "line": {
            "()": "odavl_hub.log_lines.RedactingFormatter",
            "format": "{asctime} {levelname} {name} [{request_id}] {message}",
            "style": "{",
        }
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["request_id"],
        }
    },
    "root": {"handlers": ["stderr"], "level": env.text("LOG_LEVEL", "INFO")},
    # Django's own set-up would write each line twice in DEBUG, whatever LOG_LEVEL says.
    "loggers": {"django": {"handlers": [], "level": env.text("LOG_LEVEL", "INFO")}},
}

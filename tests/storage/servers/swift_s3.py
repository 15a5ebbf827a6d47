"""OpenStack Swift with its S3 door in one process: objects in memory, listings in a folder.

    python swift_s3.py FOLDER PORT USER SECRET

The access key is ``test:USER``. Whatever a client does wrong, it
is told as by any Swift: signatures, digests, part sizes and ranges are checked.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
import eventlet

eventlet.monkey_patch()

# ruff: noqa: E402 - Swift must find the patched modules
from eventlet import wsgi
from swift.account.server import AccountController
from swift.common import storage_policy, utils
from swift.common.ring import RingBuilder
from swift.common.utils import NullLogger, config
from swift.common.wsgi import loadapp
from swift.container.server import ContainerController
from swift.obj.mem_server import ObjectController

PIPELINE = {
    "catch_errors": "",
    "gatekeeper": "",
    "cache": "",
    "listing_formats": "",
    "bulk": "",
    "s3api": "s3_acl = no\nlocation = us-east-1\ncheck_bucket_owner = no",
    "tempauth": "user_test_{user} = {secret} .admin",
    "copy": "",
    "slo": "",
    "dlo": "",
}


def main(folder: Path, port: int, user: str, secret: str) -> None:
    (folder / "devices" / "disk").mkdir(parents=True)
    (folder / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = tests\n"
        "[storage-policy:0]\nname = only\ndefault = yes\n"
    )
    _use_configuration(folder / "swift.conf")
    _start_storage_servers(folder)
    proxy = folder / "proxy.conf"
    proxy.write_text(_proxy_configuration(folder, user, secret))
    application = loadapp(str(proxy))
    listener = eventlet.listen(("127.0.0.1", port))
    wsgi.server(listener, application, NullLogger(), debug=False)


def _use_configuration(path: Path) -> None:
    config.SWIFT_CONF_FILE = storage_policy.SWIFT_CONF_FILE = str(path)
    utils.HASH_PATH_SUFFIX = config.HASH_PATH_SUFFIX = b"tests"
    storage_policy.reload_storage_policies()


def _start_storage_servers(folder: Path) -> None:
    configuration = {
        "swift_dir": str(folder),
        "devices": str(folder / "devices"),
        "mount_check": "false",
        "disable_fallocate": "true",
        "fallocate_reserve": "0",
    }
    listeners = {
        name: eventlet.listen(("127.0.0.1", 0)) for name in ("account", "container", "object")
    }
    for name, listener in listeners.items():
        port = listener.getsockname()[1]
        builder = RingBuilder(4, 1, 0)
        builder.add_dev(
            {
                "id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": "disk",
                "ip": "127.0.0.1", "port": port,
                "replication_ip": "127.0.0.1", "replication_port": port,
            }
        )  # fmt: skip
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{name}.ring.gz"))
    servers = (AccountController, ContainerController, ObjectController)
    for server, listener in zip(servers, listeners.values(), strict=True):
        eventlet.spawn(wsgi.server, listener, server(configuration), NullLogger(), debug=False)


def _proxy_configuration(folder: Path, user: str, secret: str) -> str:
    first = (
        f"[DEFAULT]\nswift_dir = {folder}\n[pipeline:main]\n"
        f"pipeline = {' '.join(PIPELINE)} proxy-server\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
    )
    sections = [first]
    for name, options in PIPELINE.items():
        program = "memcache" if name == "cache" else name
        own = options.format(user=user, secret=secret)
        sections.append(f"[filter:{name}]\nuse = egg:swift#{program}\n{own}\n")
    return "\n".join(sections)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])

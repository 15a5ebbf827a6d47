"""What travels between client and hub, defined once for both sides.

* :mod:`odavl.wire.errors`    the tree of errors, with codes, HTTP status and exit codes
* :mod:`odavl.wire.problem`   RFC 9457 documents built from, and turned back into, those errors
* :mod:`odavl.wire.limits`    every bound that both sides hold to
* :mod:`odavl.wire.encoding`  bounded gzip, base64 and strict JSON
* :mod:`odavl.wire.envelope`  the JSON around a payload, its answers and the upload types
* :mod:`odavl.wire.analysis`  the payload of an Insight run
* :mod:`odavl.wire.autopilot` the payloads of Autopilot, and what the hub tells of its runs
* :mod:`odavl.wire.guardian`  the payloads of Guardian, and what the hub tells of its tests
* :mod:`odavl.wire.sarif`     the part of SARIF 2.1.0 that Insight reads

This package imports nothing of ODAVL and no network or command-line library.
"""

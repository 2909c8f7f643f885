"""Sends records with the fluent logger of Python, which asks for no acknowledgement."""

import json
import os
import sys

from fluent import sender

options = json.loads(os.environ["FLUENT_OPTIONS"])
logger = sender.FluentSender(
    "crm",
    host="127.0.0.1",
    port=options["port"],
    nanosecond_precision=options["nanoseconds"],
)
for number in range(options["count"]):
    record = {
        "identityMap": {"crmid": [{"id": f"c-{number}"}]},
        "name": f"p{number}",
        "n": 1,
        "more": {"text": 'äöü "\n', "bytes": b"\xff", "list": [1, -1, 1.5, None, 2**64 - 1]},
    }
    if not logger.emit("profiles", record):
        sys.exit(f"not sent: {logger.last_error}")
logger.close()

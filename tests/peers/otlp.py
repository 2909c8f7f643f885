"""Sends log records with OpenTelemetry's own exporter for Python."""

import json
import os
import sys

from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
from opentelemetry.sdk.resources import Resource

options = json.loads(os.environ["OTLP_OPTIONS"])


class Exporter(OTLPLogExporter):
    """Remembers what became of each export."""

    results = []

    def export(self, batch):
        result = super().export(batch)
        self.results.append(result)
        return result


def profile(number):
    return {
        "identityMap": {"crmid": [{"id": f"c-{number}"}]},
        "name": f"p{number}",
        "n": 1,
        "more": {"text": 'äöü "\n', "bytes": b"\xff", "list": [1, -1, 1.5, True, None], "a.b": 2**63 - 1},
    }


exporter = Exporter(
    endpoint=f"http://127.0.0.1:{options['port']}/v1/logs",
    compression=Compression(options["compression"]),
    timeout=options.get("timeout", 30),
)
provider = LoggerProvider(resource=Resource.create({"service.name": "crm"}))
provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_export_batch_size=128))
logger = provider.get_logger("profiles")
for number in range(options["count"]):
    match options["profile_from"]:
        case "body":
            logger.emit(LogRecord(body=profile(number)))
        case "text":
            text = {key: value for key, value in profile(number).items() if key != "more"}
            logger.emit(LogRecord(body=json.dumps(text)))
        case "attributes":
            logger.emit(LogRecord(body="updated", attributes=profile(number)))
for _ in range(options.get("invalid", 0)):
    logger.emit(LogRecord(body="just a line"))
provider.force_flush()
provider.shutdown()
if not exporter.results or any(r is not LogRecordExportResult.SUCCESS for r in exporter.results):
    sys.exit(f"not taken: {exporter.results}")

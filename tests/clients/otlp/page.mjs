// Sends records of each kind with OpenTelemetry's exporter for browsers.

import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";

import { sendRecords } from "./records.mjs";

export default async function ({ url, key, events, mark }) {
    const exporter = new OTLPLogExporter({ url: `${url}/v1/logs`, headers: { "x-ingest-key": key } });
    const provider = new LoggerProvider({
        resource: resourceFromAttributes({ "service.name": "shop", "service.version": "1.2.0" }),
        processors: [new BatchLogRecordProcessor({ exporter, scheduledDelayMillis: 500, maxExportBatchSize: 20 })],
    });
    sendRecords(provider.getLogger("checkout", "3.1"), events, mark);
}

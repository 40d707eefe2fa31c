// Sends records of each kind with an exporter of OpenTelemetry, configured by the environment alone:
// `node.mjs http|proto [gzip]`.

import { OTLPLogExporter as Json } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPLogExporter as Protobuf } from "@opentelemetry/exporter-logs-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";

import { events, key, mark, url } from "../lib/client.mjs";
import { sendRecords } from "./records.mjs";

const [kind, compression] = process.argv.slice(2);
process.env.OTEL_EXPORTER_OTLP_ENDPOINT = url;
process.env.OTEL_EXPORTER_OTLP_HEADERS = kind === "proto" ? `x-ingest-key=${key}` : `authorization=Bearer%20${key}`;
if (compression) process.env.OTEL_EXPORTER_OTLP_COMPRESSION = compression;

const exporter = kind === "proto" ? new Protobuf() : new Json();
const provider = new LoggerProvider({
    resource: resourceFromAttributes({ "service.name": "shop", "service.version": "1.2.0" }),
    processors: [new BatchLogRecordProcessor({ exporter, scheduledDelayMillis: 200 })],
});
sendRecords(provider.getLogger("checkout", "3.1"), events, mark);
await provider.shutdown();

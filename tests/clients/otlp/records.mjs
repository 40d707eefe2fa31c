// The records that the scripts in JavaScript send.

import { SeverityNumber } from "@opentelemetry/api-logs";

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

export function sendRecords(logger, events, mark) {
    const attributes = { "user.id": "user-1", "session.id": "session-1", text: "Ünïcode 😀 \u2028", half: 0.5, yes: true };
    for (let i = 0; i < events; i++) {
        logger.emit({ severityNumber: SeverityNumber.INFO, severityText: "INFO", body: `clicked ${mark()}`, attributes });
    }
    for (const level of LEVELS) {
        logger.emit({ severityNumber: SeverityNumber[level], severityText: level, body: `level ${mark()}` });
    }
    const nested = { list: [1, 2.5, "three"], deep: { true: true } };
    logger.emit({ eventName: "checkout.finished", attributes: { mark: mark(), nested } });
    logger.emit({ body: { mark: mark(), numbers: [1, 2] }, attributes: { nested } });
    logger.emit({ body: `large ${mark()} ${"Ünïcode 😀 ".repeat(1_000)}` });
    // Equal but for what the marker says; the clock is too coarse to tell them apart.
    const timestamp = Date.now();
    for (let i = 0; i < 3; i++) logger.emit({ timestamp, body: `again ${mark()}` });
    function fail() {
        throw new TypeError(mark());
    }
    try {
        fail();
    } catch (exception) {
        logger.emit({ severityNumber: SeverityNumber.ERROR, severityText: "ERROR", exception });
    }
}

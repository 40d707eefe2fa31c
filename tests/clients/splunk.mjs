// Splunk's HTTP Event Collector: splunk-logging, splunk_handler and Docker's log driver.

import assert from "node:assert/strict";
import { docker } from "./lib/agents.mjs";

function common(events) {
    const clicked = events.filter(event => event.message?.startsWith("clicked "));
    assert.ok(clicked.length > 0, JSON.stringify(events.slice(0, 3)));
    for (const event of clicked) {
        assert.deepEqual([event.name, event.level], ["log", "WARN"]);
        assert.deepEqual([event.tags.host, event.tags.source, event.tags.sourcetype], ["web-1", "checkout", "shop"]);
        assert.match(event.client_id, /^[0-9a-f]{32}$/, "an id by its content");
    }
    assert.ok(events.some(event => event.message?.includes("text mark")));
    return clicked;
}

function node(events) {
    for (const event of common(events)) {
        assert.equal(event.category, "shop");
        assert.equal(event.data.text, "Ünïcode 😀 \u2028");
        assert.deepEqual(event.data.nested, { list: [1, 2.5] });
    }
}

function python(events) {
    for (const event of common(events)) assert.equal(event.category, "checkout");
    assert.equal(events.find(event => event.message.startsWith("ERROR: text "))?.level, "ERROR");
}

/** What Docker's log driver sends: the line in an object, as JSON in one where it is JSON, or as it is. */
function checkDocker(events) {
    const clicked = events.filter(event => event.message?.startsWith("WARN: clicked "));
    assert.ok(clicked.length > 0, JSON.stringify(events.slice(0, 3)));
    for (const event of events) {
        assert.deepEqual([event.name, event.category], ["log", "shop"]);
        assert.deepEqual([event.tags.source, event.tags.sourcetype], ["checkout", "shop"]);
        assert.ok(event.tags.host && event.client_id);
    }
    assert.ok(clicked.every(event => event.level === "WARN" && event.message.endsWith(" Ünïcode 😀")));
    const text = events.find(event => event.message.startsWith("text "));
    assert.deepEqual([text.level, text.data.took], ["ERROR", 1.5]);
}

function checkDockerObject(events) {
    checkDocker(events);
    for (const { data } of events) assert.deepEqual([data.tag, data.source], ["tally-busybox", "stdout"]);
}

const CONNECTIONS = "it sends again only what met no answer";
// It waits 30 seconds for an answer.
const DOCKER = { needs: docker, stays: true, events: 60, patience: 35 };
const STATUSES = ["500, first 2", "503, first 2", "503, every third", "429, first 1", "429, Retry-After", "413, first 1"];

export default {
    name: "splunk",
    carries: (method, path) => method === "POST" && path.startsWith("/services/collector/event"),
    clients: {
        "splunk-logging": {
            script: ["splunk/node.mjs"],
            events: 60,
            check: node,
            loses: Object.fromEntries(STATUSES.map(fault => [fault, CONNECTIONS])),
            skip: { "answer too late": "it waits without a limit" },
        },
        "splunk_handler": {
            script: ["splunk/python.py"],
            events: 60,
            check: python,
            loses: {
                "429, first 1": "it sends 5xx again, and no 4xx",
                "429, Retry-After": "it sends 5xx again, and no 4xx",
                "413, first 1": "it sends 5xx again, and no 4xx",
            },
        },
        "Docker, inline": { ...DOCKER, script: ["splunk/docker.mjs", "inline"], check: checkDockerObject },
        "Docker, json": { ...DOCKER, script: ["splunk/docker.mjs", "json", "gzip"], check: checkDockerObject },
        "Docker, raw": { ...DOCKER, script: ["splunk/docker.mjs", "raw"], check: checkDocker },
    },
};

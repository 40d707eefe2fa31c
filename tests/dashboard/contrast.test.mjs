// Colours: the contrast that WCAG 2.2 AA asks for, on each ground on which a colour stands.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const CSS = readFileSync(new URL("../../web/css/1-base.css", import.meta.url), "utf8");

const TEXT = ["text", "muted", "accent", "good", "fatal", "error", "warn", "info", "debug"];
const MARKS = ["trace", "edge"];
const GROUNDS = ["panel", "hover", "page"];

/** The custom properties of the first block that begins with `selector`. */
function tokens(selector) {
    const block = CSS.slice(CSS.indexOf(selector)).match(/\{([^}]*)\}/)[1];
    return Object.fromEntries([...block.matchAll(/--([a-z-]+):\s*(#[0-9a-f]{6})/gi)].map(([, name, value]) => [name, value]));
}

/** https://www.w3.org/TR/WCAG22/#dfn-relative-luminance */
function luminance(colour) {
    const [red, green, blue] = [1, 3, 5]
        .map(at => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
        .map(part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
}

for (const [theme, selector] of [["light", ":root {"], ["dark", ':root[data-theme="dark"] {']]) {
    const colours = tokens(selector);
    test(`${theme}: text has a contrast of 4.5, marks of 3`, () => {
        for (const ground of GROUNDS) {
            for (const name of [...TEXT, ...MARKS]) {
                const least = TEXT.includes(name) ? 4.5 : 3;
                const found = contrast(colours[name], colours[ground]);
                assert.ok(found >= least, `${name} ${colours[name]} on ${ground} ${colours[ground]}: ${found.toFixed(2)}`);
            }
        }
        assert.ok(contrast(colours["on-accent"], colours.accent) >= 4.5);
    });
}

test("the dark theme of the system is the dark theme of the menu", () => {
    assert.deepEqual(tokens(':root:not([data-theme="light"]) {'), tokens(':root[data-theme="dark"] {'));
});

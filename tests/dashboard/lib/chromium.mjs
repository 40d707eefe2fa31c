// Chromium with a page of the dashboard, which must make no request to another origin and put no error into the console.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Starts Chromium, with more of Playwright's `options`. */
export function startChromium(options = {}) {
    // Root, as in containers, has no sandbox.
    const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    return chromium.launch({ executablePath: PLACES.find(place => place && existsSync(place)), args, ...options });
}

/**
 * A fresh profile with one page. `page.faults` gathers what no page may do: console errors, uncaught errors, requests to other
 * origins. A test that provokes an error reply calls `page.expects(status)` first: Chromium logs each as an error.
 */
export async function openProfile(browser, url, options = {}) {
    const context = await browser.newContext({
        viewport: { width: 1440, height: 900 },
        timezoneId: "Europe/Berlin",
        locale: "en-US",
        permissions: ["clipboard-read", "clipboard-write"],
        baseURL: url,
        ...options,
    });
    context.setDefaultTimeout(10_000);
    const page = await context.newPage();
    watch(page, url);
    context.on("page", other => other === page || watch(other, url));
    return page;
}

function watch(page, url) {
    const expected = new Set();
    page.faults = [];
    page.requested = [];
    page.expects = status => expected.add(String(status));
    page.on("console", message => {
        const status = message.text().match(/the server responded with a status of (\d+)/)?.[1];
        if (message.type() === "error" && !expected.has(status)) page.faults.push(message.text());
    });
    page.on("pageerror", error => page.faults.push(`uncaught: ${error.message}`));
    page.on("request", request => {
        page.requested.push(request);
        if (!request.url().startsWith(url) && !request.url().startsWith("data:")) {
            page.faults.push(`request to ${request.url()}`);
        }
    });
}

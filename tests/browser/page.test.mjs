// The page at `/`, used as a person uses it: in a real browser, against the real server.
//
// Needs PHALANX_BIN (the server) and PHALANX_CHROMIUM (the browser). With PHALANX_SCREENSHOTS=FOLDER it leaves pictures.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const DEADLINE_MS = 60_000;

let server, address, store, browser, page;

before(async () => {
  store = await mkdtemp(join(tmpdir(), "phalanx-browser-"));
  server = spawn(process.env.PHALANX_BIN, ["serve", "--listen", "127.0.0.1:0", "--workers", "2", "--store", store], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  address = await lineWith(server.stdout, /listening on (http:\S+)/);
  browser = await chromium.launch({
    executablePath: process.env.PHALANX_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  });
  page = await browser.newPage({ viewport: { width: 1100, height: 1000 } });
  page.setDefaultTimeout(DEADLINE_MS);
});

after(async () => {
  await browser?.close();
  server?.kill("SIGTERM");
  await rm(store, { recursive: true, force: true });
});

function lineWith(stream, pattern) {
  return new Promise((resolve, reject) => {
    let text = "";
    const late = setTimeout(() => reject(new Error(`no line like ${pattern} in: ${text}`)), DEADLINE_MS);
    stream.on("end", () => reject(new Error(`the server ended; it wrote: ${text}`)));
    stream.on("data", piece => {
      text += piece;
      const found = pattern.exec(text);
      if (found) {
        clearTimeout(late);
        resolve(found[1]);
      }
    });
  });
}

async function screenshot(name) {
  if (process.env.PHALANX_SCREENSHOTS) {
    await page.screenshot({ path: join(process.env.PHALANX_SCREENSHOTS, `${name}.png`), fullPage: true });
  }
}

test("a newcomer without a photo takes the sample, and sees it smaller", async () => {
  const complaints = [];
  page.on("console", message => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", error => complaints.push(error.message));
  await page.goto(address);
  await screenshot("1-empty");
  await page.getByRole("button", { name: /sample/ }).click();
  await page.getByText(/Answered by worker \d+ \(pid \d+\)/).waitFor();
  assert.equal(await page.locator("#after").evaluate(image => image.naturalWidth), 800);
  assert.match(await page.locator("#after-told").textContent(), /800 × \d+ pixels.*% smaller/);
  await screenshot("2-resized");
  assert.deepEqual(complaints, [], "the page broke its own content security policy, or threw");
});

test("width, quality and format are what was asked for", async () => {
  await page.locator("#width").fill("320");
  await page.locator("#format").selectOption("png");
  await page.getByRole("button", { name: "Make it smaller" }).click();
  await page.getByText("320 ×").waitFor();
  assert.equal(await page.locator("#after").evaluate(image => image.naturalWidth), 320);
});

test("a file from the disk is uploaded, and a text file is refused in words", async () => {
  await page.goto(address);
  await page.locator("#file").setInputFiles({ name: "photo.jpg", mimeType: "image/jpeg", buffer: Buffer.from("just text") });
  await page.locator("#resize-told .bad").waitFor();
  assert.match(await page.locator("#resize-told").textContent(), /JPEG|PNG|picture|format/i);
  await screenshot("3-refused");
});

test("numbers are computed", async () => {
  await page.goto(address);
  await page.getByRole("button", { name: "Compute" }).click();
  await page.getByText("75306, 75596, 75886, 76176").waitFor();
  await screenshot("4-computed");
});

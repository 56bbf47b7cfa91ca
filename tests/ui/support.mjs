// Real nodes as processes and real browser windows, for the tests beside this file.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, afterEach } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const BIN = process.env.MFCHAIN_BIN ?? join(ROOT, ".venv", "bin");
export const MFCHAIN = (program) => join(BIN, program);
const PATIENCE = 30_000;
const BROWSERS = ["chromium", "chromium-browser", "google-chrome"];
const ON_A_MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
// Without these, Chromium talks to its maker's servers.
const QUIET = [
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
  "--no-first-run",
];
const QUIET_LINE = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (INFO |DEBUG) /;

export const DAVE = "5ECTwv6cZ5nJQPk6tWfaTrEk8YH2L7X1VT4EL5Tx2ikfFwb7";
export const ALICE = "5FA9nQDVg267DEd8m1ZypXLBnvN7SFxYwV7ndqSYGiN9TTpu";

function browserPath() {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = BROWSERS.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
  return process.env.MFCHAIN_CHROMIUM ?? found ?? ON_A_MAC;
}

/** Wait until a condition holds, asking for it again and again. */
export async function until(condition, what, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  for (;;) {
    const value = await condition();
    if (value) {
      return value;
    }
    assert.ok(Date.now() < deadline, `${typeof what === "function" ? what() : what} did not come about`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A free port with `count - 1` free ones after it. */
export async function freePort(count = 1) {
  const listen = (port) =>
    new Promise((resolve, reject) => {
      const server = createServer()
        .once("error", reject)
        .listen(port, "127.0.0.1", () => resolve(server));
    });
  for (;;) {
    const servers = [await listen(0)];
    const first = servers[0].address().port;
    try {
      while (servers.length < count) {
        servers.push(await listen(first + servers.length));
      }
      return first;
    } catch {
      // The next one is taken: try elsewhere.
    } finally {
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    }
  }
}

export class Program {
  constructor(command, args, options = {}) {
    this.output = "";
    this.process = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        this.output += text;
      });
    }
    this.ended = new Promise((resolve) => {
      this.process.once("close", (code, signal) => resolve(code ?? signal));
    });
  }

  get isRunning() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  async said(pattern) {
    const told = () => pattern.exec(this.output);
    await until(
      () => told() || !this.isRunning,
      () => `${pattern} in:\n${this.output}\n`,
    );
    assert.ok(told(), `the program ended:\n${this.output}`);
    return told();
  }

  async end(signal = "SIGTERM") {
    if (this.isRunning) {
      this.process.kill(signal);
    }
    return this.ended;
  }
}

export class Node {
  constructor(args) {
    this.args = args;
  }

  async start(port = 0) {
    this.program = new Program(MFCHAIN("mfchain-node"), [
      ...this.args,
      "--no-prometheus",
      "--rpc-port",
      String(port),
    ]);
    const [, found] = await this.program.said(/JSON-RPC at ws:\/\/127\.0\.0\.1:(\d+) /);
    this.port = Number(found);
    this.url = `http://127.0.0.1:${found}/`;
    return this;
  }

  call(method, ...params) {
    return call(this.url, method, ...params);
  }

  /** End it as a power cut would. */
  async kill() {
    await this.program.end("SIGKILL");
  }

  async abort() {
    await this.program.end("SIGKILL");
  }

  async stop() {
    if (!this.program.isRunning) {
      return;
    }
    assert.equal(await this.program.end(), 0, this.program.output);
    const loud = this.program.output.split("\n").filter((line) => line !== "" && !QUIET_LINE.test(line));
    assert.deepEqual(loud, [], this.program.output);
  }
}

/** The result of a JSON-RPC call by HTTP. */
export async function call(url, method, ...params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const answer = await (await fetch(url, { method: "POST", body })).json();
  assert.equal(answer.error, undefined, JSON.stringify(answer.error));
  return answer.result;
}

const running = [];
const windows = [];
const faults = [];
let browser = null;

/** A node of this file's tests, stopped after them. */
export async function startNode(...args) {
  const node = new Node(args);
  running.push(node);
  return node.start();
}

/** The addresses of a network of producers, all of which can be called. */
export async function startLocalnet(count) {
  const [rpc, peers] = [await freePort(count), await freePort(count)];
  const network = new Program(MFCHAIN("python"), [
    join(ROOT, "scripts", "localnet.py"),
    String(count),
    "--rpc-port",
    String(rpc),
    "--port",
    String(peers),
  ]);
  running.push({ stop: () => network.end(), abort: () => network.end() });
  const urls = Array.from({ length: count }, (_, index) => `http://127.0.0.1:${rpc + index}/`);
  for (const url of urls) {
    await until(
      () =>
        fetch(new URL("/ready", url)).then(
          ({ ok }) => ok,
          () => false,
        ),
      () => `a network that is ready:\n${network.output}\n`,
    );
  }
  return urls;
}

export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), "mfchain-ui-"));
  running.push({ stop: () => rmSync(folder, { recursive: true, force: true }) });
  return folder;
}

/** A window of its own, with its own storage. What the page complains of, or loads from elsewhere, fails the test. */
export async function openWindow(url, options = {}) {
  browser ??= chromium.launch({ executablePath: browserPath(), args: ["--no-sandbox", "--disable-gpu", ...QUIET] });
  const context = await (
    await browser
  ).newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(PATIENCE);
  windows.push(context);
  return openTab(context, url);
}

export async function openTab(context, url, prepare = () => {}) {
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(`uncaught: ${error.stack}`));
  page.on("console", (message) => {
    if (
      ["error", "warning"].includes(message.type()) &&
      !/WebSocket connection|net::ERR_CONNECTION/.test(message.text())
    ) {
      faults.push(`${message.type()}: ${message.text()}`);
    }
  });
  page.on("request", (request) => {
    const { hostname, port, protocol } = new URL(request.url());
    const isHome = ["127.0.0.1", "localhost"].includes(hostname) && port === new URL(url).port;
    if (!isHome && protocol !== "data:" && url !== "about:blank") {
      faults.push(`a request to elsewhere: ${request.url()}`);
    }
  });
  await prepare(page);
  await page.goto(url);
  return page;
}

export const card = (page, title) =>
  page.locator("li.card").filter({ has: page.getByRole("heading", { name: title, exact: true }) });

export async function rate(page, title, label) {
  await card(page, title).getByRole("button", { name: label, exact: true }).click();
}

/** Rate, and wait until a block has it. */
export async function rateAndWait(page, title, label) {
  await rate(page, title, label);
  const rated = card(page, title)
    .locator("[aria-busy=false]")
    .getByRole("button", { name: label, exact: true, pressed: true });
  try {
    await rated.waitFor();
  } catch (error) {
    const [seen, told] = [await card(page, title).innerHTML(), await page.locator(".toast").allInnerTexts()];
    throw new Error(`${title} is not rated: ${JSON.stringify(told)}\n${seen}`, { cause: error });
  }
}

export async function speakAs(page, name) {
  await page.locator(".account-button").click();
  await page.locator("dialog.accounts").getByRole("button", { name }).first().click();
  await page.locator(".account-button").getByText(name).waitFor();
}

/** What a card says of its prediction. */
export const guessOf = (page, title) => card(page, title).locator(".lean");

export async function waitForText(locator, pattern) {
  await until(
    async () => pattern.test(await locator.textContent()),
    () => `${pattern}`,
  );
}

// Whoever runs out of patience with this file ends it so: nothing that it started may stay behind.
process.once("SIGTERM", async () => {
  await Promise.all(running.map((one) => one.abort?.()));
  process.exit(1);
});

/** Wait for a complaint of the page that a test provokes, and forget it. */
export async function complained(pattern) {
  await until(() => faults.some((fault) => pattern.test(fault)), `${pattern}`);
  faults.splice(0, faults.length, ...faults.filter((fault) => !pattern.test(fault)));
}

/** End everything that was started here. */
export async function closeAll() {
  await (await browser)?.close();
  for (const one of running.splice(0)) {
    await one.stop();
  }
}

if (process.env.NODE_TEST_CONTEXT !== undefined) {
  afterEach(async () => {
    await Promise.all(windows.splice(0).map((context) => context.close()));
    assert.deepEqual(faults.splice(0), []);
  });
  after(closeAll);
}

/** A real Chromium. Debian's, since a build of another source cannot be had everywhere. */
import { spawnSync } from 'node:child_process';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { whyWithout } from '../../scripts/services/index.mjs';

/** undefined where there is none and none can be installed: said on the console. */
export async function startBrowser(): Promise<Browser | undefined> {
  const why = await whyWithout('chromium', (line) => console.log(line));
  if (why !== undefined) {
    console.log(`SKIPPED, no browser: ${why}`);
    return undefined;
  }
  const { stdout } = spawnSync('which', ['chromium'], { encoding: 'utf8' });
  // As root it refuses its sandbox; the pages are our own.
  return chromium.launch({ executablePath: stdout.trim(), args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

export interface Visit {
  readonly page: Page;
  /** What a person would see in red in the console, and uncaught errors. */
  readonly errors: string[];
  /** Addresses of everything that was asked for, WebSockets included. */
  readonly requests: string[];
  close(): Promise<void>;
}

export async function visit(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const errors: string[] = [];
  const requests: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('request', (request) => requests.push(request.url()));
  page.on('websocket', (socket) => requests.push(socket.url()));
  await page.goto(url);
  return { page, errors, requests, close: () => context.close() };
}

/**
 * The dashboard of a built sluice in a real Chromium, against a real Kafka that is stopped and started.
 * `npm run screenshots` has it write docs/images/*.png, too.
 */
import axe, { type AxeResults } from 'axe-core';
import { connectAsync, type MqttClient } from 'mqtt';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startBrowser, visit, type Visit } from '../support/browser.ts';
import { eventually } from '../support/eventually.ts';
import { consume } from '../support/kcat.ts';
import { freePort, startKafka, uniqueTopic, type Kafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';

const browser: Browser | undefined = await startBrowser();
/** A directory: pictures are written there. */
const images = process.env['TEST_SCREENSHOTS'];
const SECTIONS = ['overview', 'clients', 'routes', 'dead-letters', 'messages'] as const;
/** What it promises; the bound of the test is more generous, for a machine that has other work to do. */
const SOON_MS = 3_000;

let kafka: Kafka;
let sluice: SluiceProcess;
let url: string;
let device: MqttClient;
let seen: Visit;
let page: Page;
const telemetry = uniqueTopic('telemetry');
const readings = uniqueTopic('readings');
const deadLetters = uniqueTopic('dead');
const devices: MqttClient[] = [];

beforeAll(async () => {
  if (browser === undefined) return;
  kafka = await startKafka();
  for (const topic of [telemetry, readings, deadLetters]) await kafka.createTopic(topic, 2);
  const port = await freePort();
  url = `http://127.0.0.1:${port}/`;
  sluice = await SluiceProcess.start({
    brokers: kafka.brokers,
    routes: [
      { name: 'telemetry', from: 'devices/{device}/telemetry', to: telemetry, key: '{device}' },
      { name: 'readings', from: 'readings/{site}', to: readings, value: 'json' },
    ],
    settings: { 'listeners.http.port': port, 'deadLetter.topic': deadLetters, 'forward.retry.max': '500ms' },
  });
  for (const name of ['pump-1', 'pump-2', 'valve-1'])
    devices.push(await connectAsync(sluice.url, { clientId: name, reconnectPeriod: 200 }));
  device = devices[0]!;
  seen = await visit(browser, url);
  page = seen.page;
});
afterAll(async () => {
  for (const each of devices) await each.endAsync(true);
  await seen?.close();
  await browser?.close();
  await sluice?.discard();
  await kafka?.stop();
});
afterEach(() => {
  if (seen === undefined) return;
  // Nothing in red, and nobody asked but the sluice that the page came from.
  expect(seen.errors).toEqual([]);
  expect(seen.requests.filter((each) => new URL(each).host !== new URL(url).host)).toEqual([]);
});

const open = async (section: (typeof SECTIONS)[number]): Promise<void> => {
  await page.goto(`${url}#/${section}`);
  await page.locator('h1:visible').first().waitFor();
};
const shows = async (locator: Locator, wanted: string | RegExp, timeoutMs = 10_000): Promise<void> => {
  const matches = (text: string): boolean => (typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text));
  let text = '';
  await eventually(
    async () => matches((text = await locator.innerText())),
    timeoutMs,
    () => `${String(wanted)} is not shown, but ${JSON.stringify(text)}`,
  );
};
const focused = (): Promise<string> => page.evaluate('document.activeElement?.textContent');
const ledger = (name: string): Locator => page.getByTestId(`ledger-${name}`).locator('dd');
const verdict = (): Locator => page.getByTestId('verdict');
const publish = async (count: number, topic = 'devices/pump-1/telemetry'): Promise<void> => {
  await Promise.all(
    Array.from({ length: count }, (_, n) =>
      device.publishAsync(topic, JSON.stringify({ n, celsius: 21.5 }), { qos: 1 }),
    ),
  );
};

describe.runIf(browser !== undefined)('the dashboard', () => {
  it('shows figures that agree with what Kafka holds, within a second', async () => {
    await open('overview');
    await shows(verdict(), 'All is well');
    await publish(500);
    await sluice.drained();
    await shows(ledger('delivered'), '500');
    expect((await consume(kafka.brokers, telemetry)).length).toBe(500);
    await shows(ledger('accepted'), '500');
    await shows(ledger('buffered'), /^0$/);
    await shows(page.getByTestId('ledger-balance'), 'balances');
    const sent = performance.now();
    await publish(1);
    await shows(ledger('accepted'), '501');
    const afterMs = performance.now() - sent;
    console.log(`shown after ${afterMs.toFixed(0)} ms`);
    expect(afterMs).toBeLessThan(SOON_MS);
    await shows(page.getByTestId('devices'), '3 clients on 1 listener');
  });

  it('finds connected clients, and disconnects one', async () => {
    await open('clients');
    await page.getByRole('searchbox').fill('PUMP');
    await shows(page.locator('table:visible tbody'), 'pump-2');
    await eventually(async () => (await page.locator('table:visible tbody tr').count()) === 2);
    let closed = 0;
    devices[1]!.on('close', () => closed++);
    await page.getByRole('button', { name: 'Disconnect pump-2' }).click();
    await eventually(() => closed > 0);
  });

  it('counts the records of each route, and explains what would become of a message', async () => {
    await open('routes');
    const row = page.locator('tr', { hasText: 'devices/{device}/telemetry' });
    await shows(row, '501');
    await page.getByLabel('MQTT topic').first().fill('readings/north');
    await page.getByLabel('Payload').first().fill('{"level": 3}');
    await page.getByRole('button', { name: 'Explain' }).click();
    const answer = page.getByTestId('explanation');
    await shows(answer, readings);
    await shows(answer, /readings.*makes a record/s);
    await shows(answer, /telemetry.*level 0 is 'readings', not 'devices'/s);
    await shows(answer, '"level": 3');
    await page.getByLabel('Payload').first().fill('nonsense');
    await page.getByRole('button', { name: 'Explain' }).click();
    await shows(page.locator('main'), 'Outcome: dead letter');
  });

  it('shows dead letters with payload and reason, and puts one in again', async () => {
    await device.publishAsync('readings/south', 'no JSON at all', { qos: 1 });
    await sluice.drained();
    await open('overview');
    await shows(verdict(), '1 record became dead letters');
    await open('dead-letters');
    const letter = page.locator('.letters li', { hasText: 'readings/south' });
    await letter.locator('summary').click();
    await shows(letter, 'no JSON at all');
    await shows(letter, /PAYLOAD|JSON/);
    const before = (await consume(kafka.brokers, deadLetters)).length;
    expect(before).toBe(1);
    await letter.getByRole('button', { name: 'Replay' }).click();
    await shows(letter, '1 put in again');
    // It is still no JSON: it becomes a dead letter a second time, which shows that it went through the routes.
    await sluice.drained();
    await eventually(async () => (await consume(kafka.brokers, deadLetters)).length === 2);
    await page.getByRole('button', { name: 'Replay all …' }).click();
    await shows(page.getByRole('dialog'), '2 dead letters found');
    await page.getByRole('button', { name: 'Cancel' }).click();
  });

  it('follows messages live over MQTT, and publishes', async () => {
    await open('messages');
    await page.getByLabel('Topic filter').fill('devices/#');
    await page.getByRole('button', { name: 'Start' }).click();
    await shows(page.locator('main'), 'follows devices/#');
    await device.publishAsync('devices/pump-1/state', 'humming', { qos: 1 });
    await shows(page.getByTestId('tail'), 'humming');
    await page.getByLabel('MQTT topic').last().fill('devices/page/telemetry');
    await page.getByRole('button', { name: 'Publish', exact: true }).click();
    await shows(page.locator('main'), /Acknowledged after \d+ ms/);
    await shows(page.getByTestId('tail'), 'devices/page/telemetry');
    await sluice.drained();
    expect((await consume(kafka.brokers, telemetry)).some(({ key }) => key?.toString() === 'page')).toBe(true);
    await page.getByRole('button', { name: 'Stop' }).click();
    await shows(page.locator('main'), 'stopped');
  });

  it('says in words that Kafka is away and what to do, and that it is back', async () => {
    await open('overview');
    await kafka.kill();
    const before = Number((await ledger('accepted').innerText()).replaceAll(',', ''));
    await publish(300);
    await shows(page.getByTestId('kafka'), /Kafka unreachable for \d+ s; 300 messages are safe in the buffer/, 30_000);
    await shows(verdict(), 'Nothing is lost, and delivery goes on by itself');
    await shows(ledger('buffered'), '300');
    await screenshot('dashboard-outage');
    await kafka.start();
    await shows(ledger('buffered'), /^0$/, 60_000);
    await shows(page.getByTestId('kafka'), 'Takes records');
    await eventually(async () => !(await verdict().innerText()).includes('Kafka unreachable'));
    await shows(ledger('accepted'), (before + 300).toLocaleString('en-US'));
    expect((await consume(kafka.brokers, telemetry)).length).toBeGreaterThanOrEqual(802);
  });

  it('says that sluice does not answer, and goes on when it does', async () => {
    await open('overview');
    await sluice.kill();
    await shows(page.getByTestId('lost'), 'No answer');
    // That a request fails is told in the console by the browser itself.
    await sluice.start();
    await page.getByTestId('lost').waitFor({ state: 'hidden' });
    seen.errors.splice(0, seen.errors.length, ...seen.errors.filter((error) => !error.includes('net::ERR_')));
    await shows(page.locator('#live'), 'live');
  });

  it('can be used with the keyboard alone', async () => {
    await page.goto('about:blank');
    await page.goto(url);
    await page.locator('h1:visible').first().waitFor();
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Skip to content');
    for (const wanted of ['sluice', 'Overview', 'Clients']) {
      await page.keyboard.press('Tab');
      expect(await focused()).toBe(wanted);
    }
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Clients' }).waitFor();
    expect(await page.getByRole('link', { name: 'Clients' }).getAttribute('aria-current')).toBe('page');
  });

  it('is dark or light as the system has it, or as one chooses', async () => {
    const background = (of: Page): Promise<string> => of.evaluate('getComputedStyle(document.body).backgroundColor');
    const dark = await visit(browser!, url, { colorScheme: 'dark' });
    expect(await background(dark.page)).toBe('rgb(14, 19, 26)');
    await dark.page.getByRole('button', { name: 'Theme: system' }).click();
    expect(await background(dark.page)).toBe('rgb(244, 246, 248)');
    await dark.page.reload();
    await dark.page.getByRole('button', { name: 'Theme: light' }).click();
    expect(await background(dark.page)).toBe('rgb(14, 19, 26)');
    expect(dark.errors).toEqual([]);
    await dark.close();
  });

  const looks: readonly (readonly [string, BrowserContextOptions])[] = [
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['phone', { colorScheme: 'dark', viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }],
  ];
  it.each(looks)(
    'has no serious fault of accessibility, and nothing that sticks out: %s',
    { timeout: images === undefined ? 60_000 : 240_000 },
    async (look, options) => {
      const other = await visit(browser!, url, options);
      for (const section of SECTIONS) {
        await other.page.goto(`${url}#/${section}`);
        await other.page.locator('h1:visible').first().waitFor();
        await other.page.locator('#live[data-state=ok]').waitFor();
        if (images !== undefined && (look === 'light' || section === 'overview')) {
          await furnish(other.page, section);
          await screenshot(`dashboard-${look}-${section}`, other.page);
        }
        await other.page.evaluate(axe.source);
        const { violations } = await other.page.evaluate<AxeResults>('axe.run()');
        const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
        expect(grave.map(({ id, nodes }) => `${section}: ${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual(
          [],
        );
        const [needed, there] = await other.page.evaluate<[number, number]>(
          '[document.documentElement.scrollWidth, innerWidth]',
        );
        expect(needed, `${section}: it scrolls sideways`).toBeLessThanOrEqual(there);
      }
      expect(other.errors).toEqual([]);
      await other.close();
    },
  );
});

async function screenshot(name: string, of: Page = page): Promise<void> {
  if (images === undefined || images === '') return;
  await mkdir(images, { recursive: true });
  await of.screenshot({ path: join(images, `${name}.png`), fullPage: true });
}

/** Something to see on a picture. */
async function furnish(of: Page, section: (typeof SECTIONS)[number]): Promise<void> {
  const traffic = setInterval(() => {
    for (const each of devices) {
      const topic = `devices/${each.options.clientId}/telemetry`;
      each.publish(topic, JSON.stringify({ celsius: 20 + Math.round(Math.random() * 50) / 10 }), { qos: 1 });
    }
  }, 20);
  try {
    if (section === 'overview') await of.waitForTimeout(45_000);
    if (section === 'routes') await of.getByRole('button', { name: 'Explain' }).click();
    if (section === 'dead-letters') await of.locator('.letters summary').first().click();
    if (section === 'messages') await of.getByRole('button', { name: 'Start' }).click();
    await of.waitForTimeout(3_000);
  } finally {
    clearInterval(traffic);
  }
}

// Starts the browser and gives pages that remember every fault they had.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Strict autoplay, so that the blocked-sound bar can be seen. */
const AUTOPLAY = '--autoplay-policy=document-user-activation-required';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const AXE_TAGS = ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'];

/** Counts tones, in the page: the horn has no other witness. */
function countTones() {
  window.__tones = [];
  const make = window.AudioContext?.prototype.createOscillator;
  if (make === undefined) return;
  window.AudioContext.prototype.createOscillator = function createOscillator() {
    const tone = make.call(this);
    const start = tone.start;
    tone.start = function at(when) {
      window.__tones.push({ hz: tone.frequency.value, at: performance.now(), when });
      return start.call(tone, when);
    };
    return tone;
  };
}

export async function openBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [...FLAGS, AUTOPLAY],
  });
}

/** A fresh page in a fresh context. `faults` collects errors of scripts and of the content policy. */
export async function openPage(browser, address, { theme = 'light', size = { width: 1600, height: 900 } } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: theme, locale: 'zh-CN' });
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(`script: ${error.message}`));
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) faults.push(message.text());
  });
  await page.addInitScript(countTones);
  await page.goto(address);
  return { page, faults, close: () => context.close() };
}

/** Violations in words; an empty list is the wish. Evaluated from outside, so the page's policy holds. */
export async function axe(page) {
  await page.evaluate(await readFile(AXE, 'utf8'));
  const found = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags }), AXE_TAGS);
  return found.violations.map(({ id, help, nodes }) => `${id}: ${help} (${nodes.map(({ target }) => target.join(' ')).slice(0, 3).join(' | ')})`);
}

/** Waits until `look` gives something true; says what it waited for when it does not come. */
export async function until(what, look, withinMs = 10_000) {
  const end = Date.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > end) throw new Error(`not within ${withinMs / 1000} s: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** The rows in the page, from the first to the last. */
export function rows(page) {
  return page.$$eval('[role=row][data-alarm]', (found) =>
    found
      .map((row) => ({
        ...row.dataset,
        key: `${row.dataset.alarm}#${row.dataset.occurrence}`,
        index: Number(row.getAttribute('aria-rowindex')),
        active: row.classList.contains('active'),
        text: row.textContent.replace(/\s+/g, ' ').trim(),
      }))
      .sort((a, b) => a.index - b.index),
  );
}

// The duty desk in a real browser, against a running centre or demonstration:
//
//   node desk.mjs --base http://127.0.0.1:8080 [--shots DIR] [--only alarm,ack]
//   node desk.mjs --mock                       the same against `mock.mjs`, and what only it can script
//
// Each story is a claim of the console. The last line is `N passed, M failed`.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { axe, openBrowser, openPage, rows, until } from './browser.mjs';
import { startMock } from './mock.mjs';
import { dutyStories } from './duties.mjs';
import { mockStories } from './scripted.mjs';
import { startProxy } from './proxy.mjs';

const ALARM_WITHIN_MS = 120_000;
/** By then a demonstration's own story has brought an alarm, or it is over. */
const STORY_WITHIN_MS = 15_000;
const BLIND_WITHIN_MS = 90_000;
const LATE_WITHIN_MS = 90_000;
/** The console's promise. */
const SAID_WITHIN_MS = 10_000;
const BROKEN_TEXT = /连接已断 \d\d:\d\d。此表不是最新，不能视为安全。正在重连…/;

const flag = (name) => process.argv.includes(`--${name}`);
function option(name) {
  const at = process.argv.indexOf(`--${name}`);
  return at > 0 ? process.argv[at + 1] : undefined;
}

const shots = option('shots');
const only = option('only')?.split(',');

async function shot(page, name) {
  if (shots === undefined) return;
  await mkdir(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`) });
}

async function text(page, selector) {
  const found = await page.$(selector);
  return found === null ? '' : (await found.innerText()).replace(/\s+/g, ' ');
}

function post(base, path, body) {
  return fetch(base + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Fengsui': '1' },
    body: JSON.stringify(body),
  });
}

async function live(page) {
  await until('the link is live', () => page.$('[data-link=live]'), 15_000);
}

/** A demonstration that has told its story is given a fault: a silent device makes its points stale. */
async function provoked(base, what, look) {
  try {
    return await until(what, look, STORY_WITHIN_MS);
  } catch {
    await post(base, '/api/v1/demo/fault', { device: 'gas', fault: 'dead' });
    try {
      return await until(what, look, ALARM_WITHIN_MS);
    } finally {
      await post(base, '/api/v1/demo/fault', { device: 'gas', fault: 'none' });
    }
  }
}

/** A desk that is live and has a row that waits for an answer. */
async function deskWithAlarm(browser, base, options) {
  const opened = await openPage(browser, `${base}/desk`, options);
  await live(opened.page);
  await provoked(base, 'an unacknowledged row', () => opened.page.$('[data-state$=unack]'));
  return opened;
}

const stories = {
  async alarm({ browser, base }) {
    const { page, faults, close } = await openPage(browser, `${base}/desk`);
    await live(page);
    await page.evaluate(() => (window.__sameDocument = true));
    await shot(page, 'desk-before');
    const known = new Set((await rows(page)).map(({ key }) => key));
    const fresh = await provoked(base, 'an alarm row comes by the stream', async () =>
      (await rows(page)).find((row) => row.state === 'unack' && !known.has(row.key)),
    );
    assert.equal(await page.evaluate(() => window.__sameDocument), true, 'the page was not loaded again');
    assert.match(fresh.text, /[◆▲■●][1-4][红橙黄蓝]/, 'the chip has shape, digit and character');
    const ranks = (await rows(page)).map(({ state, priority }) => (state.endsWith('unack') ? 0 : 10) + Number(priority));
    assert.deepEqual(ranks, [...ranks].sort((a, b) => a - b), 'unacknowledged first, then priority');
    await shot(page, 'desk-alarm');
    assert.deepEqual(faults, []);
    await close();
  },

  async ack({ browser, base }) {
    const { page, faults, close } = await deskWithAlarm(browser, base);
    await page.keyboard.press('Home');
    const first = await until('Home makes the first row active', async () => (await rows(page)).find((row) => row.active));
    assert.equal(first.index, 2, 'it is the first row');
    assert.match(first.state, /unack/);
    await page.keyboard.press('a');
    if (Number(first.priority) <= 2 || first.late === 'true') {
      await until('P1, P2 and late ones ask for words', () => page.$('[data-ack-bar] input[name=words]:focus'));
      await page.keyboard.press('1');
      await page.keyboard.press('Enter');
    }
    await until(
      'A acknowledges it',
      async () => {
        const row = (await rows(page)).find(({ key }) => key === first.key);
        return row === undefined || row.state !== first.state;
      },
      5_000,
    );
    const held = (await rows(page)).find(({ key }) => key === first.key);
    assert.equal(held?.index, first.index, 'an acknowledged row does not move while it has the focus');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('name')), 'note', 'Tab reaches the note');
    await page.keyboard.type('a已到现场 m');
    assert.equal(await page.inputValue('input[name=note]'), 'a已到现场 m', 'keys are text in a field');
    await shot(page, 'desk-acked');
    await page.keyboard.press('Enter');
    await until('the note is answered', async () => (await text(page, '.outcome')) !== '', 6_000);
    assert.deepEqual(faults, []);
    await close();
  },

  /** The page without script: a form in a real browser, with whatever Origin it sends. */
  async basic({ browser, base }) {
    if (process.argv.includes('--mock')) return;
    await until('something to acknowledge', async () => {
      const desk = await (await fetch(`${base}/api/v1/desk`)).json();
      return desk.alarms.some(({ state }) => state.endsWith('unack'));
    }, ALARM_WITHIN_MS);
    const { page, close } = await openPage(browser, `${base}/basic`);
    const before = await page.locator('button').count();
    assert.ok(before > 0, 'a row with a button');
    const form = page.locator('form').first();
    const alarm = await form.locator('input[name=alarm]').inputValue();
    const occurrence = Number(await form.locator('input[name=occurrence]').inputValue());
    const words = form.locator('select[name=comment]');
    if (await words.count() > 0) await words.selectOption('正在核实');
    await form.locator('button').click();
    await page.waitForURL(/\/basic$/);
    await until('the acknowledgement is done', async () => {
      const desk = await (await fetch(`${base}/api/v1/desk`)).json();
      const row = desk.alarms.find((row) => row.alarm === alarm && row.occurrence === occurrence);
      return row === undefined || !row.state.endsWith('unack');
    }, 6_000);
    await shot(page, 'basic');
    await close();
  },

  async keys({ browser, base }) {
    const { page, faults, close } = await deskWithAlarm(browser, base);
    await page.keyboard.press('Shift+Slash');
    await until('? opens the help', () => page.$('aside.help'));
    await shot(page, 'help');
    await page.keyboard.press('Escape');
    await until('Esc closes it', async () => (await page.$('aside.help')) === null);
    await page.keyboard.press('Home');
    await page.keyboard.press('Space');
    await until('Space selects', () => page.$('[role=row][aria-selected=true]'));
    assert.match(await text(page, '.actions'), /确认 1 条/, 'the button tells the number');
    await page.keyboard.press('Escape');
    // An alarm of this very moment may break the mute, as it should: then once more.
    await until('M mutes', async () => {
      await page.keyboard.press('m');
      return page.evaluate(() => /静音中 \d+ s/.test(document.querySelector('.top').textContent) || document.querySelector('[data-sound=blocked]') !== null);
    });
    await page.keyboard.press('Control+a');
    assert.equal(await page.$('.outcome:not(:empty)'), null, 'Ctrl+A is the browser’s, not ours');
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('type')), 'search');
    await page.keyboard.type('no such thing');
    await until('an empty search is not quiet', () => page.$('[data-empty=filtered]'));
    assert.equal(await page.$('[data-empty=quiet]'), null);
    await page.keyboard.press('Escape');
    await until('Esc brings the rows back', async () => (await rows(page)).length > 0);
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await until('g p goes to the points', () => page.$('[role=row][data-point]'));
    await shot(page, 'points');
    await page.keyboard.press('g');
    await page.keyboard.press('d');
    await until('g d goes to the desk', () => page.$('section.desk'));
    assert.deepEqual(faults, []);
    await close();
  },

  async sound({ browser, base }) {
    const { page, faults, close } = await deskWithAlarm(browser, base);
    await until('the blocked bar', () => page.$('button[data-bar=sound]'));
    assert.match(await text(page, '[data-bar=sound]'), /声音被浏览器阻止，点此启用/);
    await shot(page, 'sound-blocked');
    await page.click('button[data-bar=sound]');
    await until('the bar goes', async () => (await page.$('[data-bar=sound]')) === null);
    await until('the horn repeats', () => page.evaluate(() => window.__tones.length >= 4), 40_000);
    await page.keyboard.press('m');
    const silent = await page.evaluate(() => window.__tones.length);
    await page.waitForTimeout(4_500);
    const after = await page.evaluate(() => window.__tones.length);
    const broken = !/静音中/.test(await text(page, '.top'));
    assert.ok(after === silent || broken, 'a mute is silent unless a new alarm breaks it');
    assert.deepEqual(faults, []);
    await close();
  },

  async cable({ browser, base }) {
    const { page, faults, close } = await openPage(browser, `${base}/desk`);
    await live(page);
    const pull = await until('the demonstration strip', () => page.$('button[data-demo=pull]'));
    await until('the cable is in (a demonstration may pull it by itself first)', () => page.$('[data-cable=in]'), BLIND_WITHIN_MS);
    await until('nobody is blind', async () => (await page.$('[data-bar=blind]')) === null, BLIND_WITHIN_MS);
    for (const seen of await page.$$('[data-bar=late] button')) await seen.click();
    await pull.click();
    await until('the strip says that it is out', () => page.$('[data-cable=out]'));
    await until('the page says which gateway is blind', () => page.$('[data-bar=blind]'), BLIND_WITHIN_MS);
    assert.match(await text(page, '[data-bar=blind]'), /看不见: \S+, [1-9]\d* 点/);
    assert.equal(await page.$('[data-empty=quiet]'), null, 'blind is not quiet');
    await shot(page, 'cable-out');
    await page.waitForTimeout(Number(option('outage') ?? 8) * 1000);
    await page.fill('.search input', 'no such thing');
    assert.equal(await page.$('[data-empty=quiet]'), null, 'nor behind a search');
    await page.fill('.search input', '');
    await page.click('button[data-demo=plug]');
    await until('the banner goes', async () => (await page.$('[data-bar=blind]')) === null, LATE_WITHIN_MS);
    await until('the back-fill is told', () => page.$('[data-bar=late]'), LATE_WITHIN_MS);
    const told = await text(page, '[data-bar=late]');
    assert.match(told, /补传：\S+ 中断 \d\d:\d\d–\d\d:\d\d，\d+ 条越限/);
    if (Number(/(\d+) 条越限/.exec(told)?.[1]) > 0) {
      const late = await until('a row is flagged late', async () => (await rows(page)).find((row) => row.late === 'true'));
      assert.match(late.text, /迟到/);
    }
    await shot(page, 'cable-back');
    assert.deepEqual(faults, []);
    await close();
  },

  async cut({ browser, base }) {
    const proxy = await startProxy(base);
    const { page, faults, close } = await openPage(browser, `${proxy.url}/desk`);
    try {
      await live(page);
      await page.waitForTimeout(1_000);
      const before = await rows(page);
      proxy.cut();
      const cutAt = Date.now();
      await until('the page says that the link is broken', () => page.$('[data-bar=broken]'), SAID_WITHIN_MS);
      const said = Date.now() - cutAt;
      console.log(`     half-open link said after ${(said / 1000).toFixed(1)} s`);
      assert.ok(said <= SAID_WITHIN_MS);
      assert.match(await text(page, '[data-bar=broken]'), BROKEN_TEXT);
      assert.ok(await page.$('.frame.unsafe'), 'the page is hatched');
      assert.equal(await page.$('[data-empty=quiet]'), null);
      assert.equal((await rows(page)).length, before.length, 'what was known stays to be read');
      for (let i = 0; i < 20; i += 1) {
        await page.waitForTimeout(300);
        assert.equal(await page.$('[data-empty=quiet]'), null, 'never quiet while broken');
        assert.ok(await page.$('[data-bar=broken]'), 'and the bar does not flicker');
      }
      await shot(page, 'link-cut');
      proxy.restore();
      const restoredAt = Date.now();
      await until('the page recovers by itself', async () => (await page.$('[data-bar=broken]')) === null && (await page.$('[data-link=live]')), 20_000);
      console.log(`     recovered ${((Date.now() - restoredAt) / 1000).toFixed(1)} s after the link came back`);
      assert.deepEqual(faults, []);
    } finally {
      await close();
      await proxy.close();
    }
  },

  async trend({ browser, base }) {
    const { page, faults, close } = await openPage(browser, `${base}/points`);
    await live(page);
    await until('points are listed', () => page.$('[role=row][data-point] a'));
    await page.keyboard.press('Home');
    await page.keyboard.press('Enter');
    await until('the chart is drawn', () => page.$('.chart canvas'), 15_000);
    await page.click('.ranges button:first-child');
    await page.waitForTimeout(1_500);
    await shot(page, 'trend-10m');
    for (const [n, name] of [[2, '1h'], [3, '8h'], [4, '24h']]) {
      await page.click(`.ranges button:nth-child(${n})`);
      await page.waitForTimeout(1_200);
      await shot(page, `trend-${name}`);
      assert.match(page.url(), new RegExp(`range=${name}`), 'the address is the state');
    }
    await page.click('.ranges button:first-child');
    await page.click('text=数据表');
    await until('numbers for those who cannot see a canvas', async () => (await page.$$('.data tbody tr')).length > 0);
    await shot(page, 'trend-table');
    await page.reload();
    await until('a reload shows the same', () => page.$('.chart canvas'), 15_000);
    assert.match(page.url(), /range=10m/);
    assert.deepEqual(faults, []);
    await close();
  },

  async axe({ browser, base }) {
    const points = await (await fetch(`${base}/api/v1/points`)).json();
    const pages = ['/desk', '/points', `/points/${points[0].point}?range=10m`];
    for (const theme of ['light', 'dark']) {
      for (const path of pages) {
        const { page, close } = await openPage(browser, base + path, { theme });
        await live(page);
        await until('the screen is there', () => page.$('.chart canvas, [role=row][data-point], section.desk'), 15_000);
        if (path === '/desk') {
          await provoked(base, 'a row', () => page.$('[role=row][data-alarm]'));
          await page.keyboard.press('Home');
          await page.keyboard.press('Shift+Slash');
          await until('help', () => page.$('aside.help'));
          assert.deepEqual(await axe(page), [], `${path} ${theme} with help`);
          await page.keyboard.press('Escape');
        }
        await page.waitForTimeout(600);
        assert.deepEqual(await axe(page), [], `${path} ${theme}`);
        await shot(page, `axe-${path.split('/')[1]}${path.includes('?') ? '-one' : ''}-${theme}`);
        await close();
      }
    }
  },

  async english({ browser, base }) {
    const { page, faults, close } = await deskWithAlarm(browser, base, { theme: 'dark' });
    await page.click('text=English');
    await until('English', async () => /Duty desk/.test(await text(page, '.top')));
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
    assert.doesNotMatch(await text(page, '[role=grid] .head'), /[\u4e00-\u9fff]/, 'no Chinese word is left in the head');
    await shot(page, 'desk-english');
    await page.reload();
    await until('the choice is kept', async () => /Duty desk/.test(await text(page, '.top')));
    assert.deepEqual(faults, []);
    await close();
  },
};

async function main() {
  const mocked = flag('mock');
  const given = option('base');
  if (!mocked && given === undefined) {
    console.error('usage: node desk.mjs (--base URL | --mock) [--shots DIR] [--only a,b] [--outage SECONDS]');
    process.exit(2);
  }
  const all = { ...stories, ...(mocked ? { ...mockStories({ live, text, shot }), ...dutyStories({ live, text, shot }) } : {}) };
  const wrong = (only ?? []).filter((name) => !(name in all));
  if (wrong.length > 0) {
    console.error(`no story ${wrong.join(', ')}; there are ${Object.keys(all).join(', ')}`);
    process.exit(2);
  }
  const browser = await openBrowser();
  let passed = 0;
  let failed = 0;
  for (const [name, story] of Object.entries(all)) {
    if (only !== undefined && !only.includes(name)) continue;
    const mock = mocked ? await startMock({ script: name in stories }) : null;
    const base = (mock?.url ?? given).replace(/\/$/, '');
    try {
      await story({ browser, base, mock });
      passed += 1;
      console.log(`ok   ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}: ${error instanceof Error ? error.message : error}`);
    }
    if (!mocked) await post(base, '/api/v1/demo/cable', { pulled: false }).catch(() => undefined);
    await mock?.close();
  }
  await browser.close();
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}

await main();

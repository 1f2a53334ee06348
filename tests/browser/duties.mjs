// Stories of what the desk asks of a person and of what it rests on: the engine's pulse, words,
// outages, shelves, calls. Only the mock can tell them.
import assert from 'node:assert/strict';
import { axe, openPage, rows, until } from './browser.mjs';
import { DIGITS, newLadder } from './ladder.mjs';
import { stamp } from './mock.mjs';

const LEVEL = 'GW-01/TK-101.LT/HH';

export function dutyStories({ live, text, shot }) {
  return {
    async engine({ browser, base, mock }) {
      const { page, faults, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      await until('quiet names the last self-check', async () => /链路自检 \d+ s 前通过，用时 12 ms/.test(await text(page, '[data-empty=quiet] [data-canary]')));
      await shot(page, 'quiet-canary');
      await page.click('button[data-bar=sound]');
      const tones = await page.evaluate(() => window.__tones.length);
      mock.engineOk = false;
      mock.ping();
      await until('the bar says it', () => page.$('[data-bar=engine]'));
      assert.match(await text(page, '[data-bar=engine]'), /报警引擎没有响应，监护中断：新报警可能出不来/);
      assert.equal(await page.$('[data-empty=quiet]'), null, 'an empty list is not quiet');
      assert.match(await text(page, '[data-empty=doubted]'), /报警引擎没有响应/);
      assert.ok(await page.$('.frame.unsafe'), 'the page is hatched');
      await until('and it sounds as a broken link does', () => page.evaluate((before) => window.__tones.slice(before).some(({ hz }) => hz === 400), tones));
      assert.deepEqual(await axe(page), []);
      await shot(page, 'engine-empty');
      mock.raise(13, 'h', { value: 27 });
      await until('a row', async () => (await rows(page)).length === 1);
      assert.ok(await page.$('[data-bar=engine]'), 'the bar stays above rows');
      await shot(page, 'engine-rows');
      await page.keyboard.press('m');
      await until('muted', async () => /静音中/.test(await text(page, '.top')));
      mock.engineOk = true;
      mock.watchdogOk = false;
      mock.ping();
      await until('it answers again', async () => (await page.$('[data-bar=engine]')) === null);
      assert.match(await text(page, '[data-bar=watchdog]'), /看门狗未在询问/);
      await shot(page, 'watchdog');
      mock.engineOk = false;
      mock.ping();
      await until('a second loss breaks the mute', async () => !/静音中/.test(await text(page, '.top')));
      assert.deepEqual(faults, []);
      await close();
    },

    async comments({ browser, base, mock }) {
      mock.raise(1, 'hh', { value: 88 });
      mock.raise(1, 'h', { value: 81 });
      mock.raise(3, 'h', { value: 19, priority: 3 });
      mock.raise(6, 'h', { value: 19, priority: 4, late: true, active: false, state: 'rtn_unack' });
      const { page, faults, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      await until('rows', async () => (await rows(page)).length === 4);
      await page.keyboard.press('Home');
      await page.keyboard.press('a');
      await until('P1 asks for words', () => page.$('[data-ack-bar="1"]'));
      const focused = () => page.evaluate(() => document.activeElement?.getAttribute('name') ?? document.activeElement?.getAttribute('role'));
      await until('they have the focus', async () => (await focused()) === 'words');
      assert.equal(await page.inputValue('input[name=words]'), '', 'the key itself is no word');
      await shot(page, 'ack-words');
      assert.deepEqual(await axe(page), []);
      await page.keyboard.press('Enter');
      await page.waitForTimeout(200);
      assert.deepEqual(mock.acks, [], 'silence is not sent');
      await page.keyboard.press('Escape');
      await until('Esc leaves', async () => (await page.$('[data-ack-bar]')) === null);
      assert.equal(await focused(), 'grid', 'the list has the keys again');
      await page.keyboard.press('a');
      await until('again', () => page.$('[data-ack-bar]'));
      mock.refuse = '当前状态不允许';
      await page.keyboard.press('1');
      assert.equal(await page.inputValue('input[name=words]'), '已通知现场', 'one key is a phrase');
      await page.keyboard.type('2');
      await page.keyboard.press('Enter');
      await until('a refusal has its reason', async () => /没有确认：当前状态不允许/.test(await text(page, '.outcome')));
      assert.equal(await page.inputValue('input[name=words]'), '已通知现场2', 'and what was typed stays');
      mock.refuse = '';
      await page.keyboard.press('Enter');
      await until('acknowledged', async () => (await rows(page)).find(({ alarm }) => alarm === LEVEL)?.state === 'acked');
      assert.equal(mock.acks[mock.acks.length - 1].comment, '已通知现场2');
      await until('the list has the keys', async () => (await page.$('[data-ack-bar]')) === null && (await focused()) === 'grid');
      const sent = mock.acks.length;
      const third = (await rows(page)).find(({ priority }) => priority === '3');
      while (!(await rows(page)).some(({ active, key }) => active && key === third.key)) await page.keyboard.press('j');
      await page.keyboard.press('a');
      await until('P3 is one key', async () => (await rows(page)).find(({ key }) => key === third.key)?.state === 'acked');
      assert.equal(mock.acks[sent].comment, '');
      await page.keyboard.press('n');
      await page.keyboard.press('Home');
      await page.keyboard.press('Shift+J');
      await page.keyboard.press('a');
      await until('a selection with P2 and a late P4 asks once', () => page.$('[data-ack-bar="2"]'));
      await page.keyboard.press('2');
      await page.keyboard.press('Enter');
      await until('both are answered', async () => (await rows(page)).every(({ state }) => !state.endsWith('unack')));
      assert.deepEqual(mock.acks.slice(-2).map(({ comment }) => comment), ['正在核实', '正在核实']);
      const refused = await (await page.request.post(`${base}/api/v1/alarms/ack`, { headers: { 'X-Fengsui': '1' }, data: { acks: [{ alarm: LEVEL, occurrence: 1 }], comment: '', request: 'x' } })).json();
      assert.equal(refused.results[0].outcome, 'refused', 'the mock refuses as the centre does');
      assert.deepEqual(faults, []);
      await close();
    },

    async outage({ browser, base, mock }) {
      mock.raise(1, 'hh', { value: 88 });
      const { page, faults, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      await until('a row', async () => (await rows(page)).length === 1);
      await page.keyboard.press('Home');
      const read = mock.desksRead;
      mock.backfill(Date.now() - 7_260_000);
      await until('the package is listed', () => page.$('[data-package]'));
      await until('told once', async () => mock.desksRead === read + 1);
      assert.match(await text(page, '[data-package]'), /GW-01 中断 .*\d\d:\d\d–\d\d:\d\d 1 次越限，其中最高 P2，未确认 1/);
      assert.ok((await rows(page))[0].active, 'the list was not disturbed');
      await shot(page, 'outage');
      await page.focus('[data-package]');
      await page.keyboard.press('Enter');
      await until('Enter shows its rows', async () => {
        const found = await rows(page);
        return found.length === 1 && found[0].late === 'true' && found[0].active;
      });
      assert.match(page.url(), /package=/, 'the address is the state');
      assert.match(await text(page, '[data-bar=filter]'), /另有 1 条未确认报警没有列出/);
      assert.deepEqual(await axe(page), []);
      await shot(page, 'outage-rows');
      await page.keyboard.press('a');
      await page.keyboard.press('1');
      await page.keyboard.press('Enter');
      await until('answered, and counted', async () => /都已确认/.test(await text(page, '[data-package]')));
      await page.keyboard.press('Escape');
      await until('Esc shows all', async () => (await page.$('[data-bar=filter]')) === null);
      await until('the others are back', async () => (await rows(page)).some(({ alarm }) => alarm === LEVEL));
      assert.deepEqual(faults, []);
      await close();
    },

    async shelf({ browser, base, mock }) {
      mock.raise(1, 'hh', { value: 88 });
      mock.raise(13, 'h', { value: 27 });
      const { page, faults, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      await until('rows', async () => (await rows(page)).length === 2);
      await page.keyboard.press('Home');
      await page.keyboard.press('s');
      await until('S asks for minutes', async () => (await page.evaluate(() => document.activeElement?.getAttribute('name'))) === 'minutes');
      assert.equal(await page.getAttribute('input[name=minutes]', 'max'), '30', 'P1 no longer than 30 minutes');
      await page.fill('input[name=reason]', '仪表校验');
      await page.click('[data-order=shelve]');
      assert.deepEqual(mock.orders, [], 'P1 needs a second person');
      await page.fill('input[name=second]', '演示值班员');
      await page.click('[data-order=shelve]');
      await until('who must be another', async () => /第二批准人须为另一人/.test(await text(page, '.outcome')));
      await page.fill('input[name=second]', '李强');
      await page.fill('input[name=permit]', 'XK-7');
      await shot(page, 'shelve');
      assert.deepEqual(await axe(page), []);
      await page.press('input[name=second]', 'Enter');
      await until('shelved', async () => (await rows(page)).find(({ alarm }) => alarm === LEVEL)?.state === 'shelved');
      const { verb, minutes, one_shot: once, reason, second_person: second, permit } = mock.orders[1];
      assert.deepEqual([verb, minutes, once, reason, second, permit], ['shelve', 30, false, '仪表校验', '李强', 'XK-7']);
      assert.match(await text(page, '[data-list=shelved]'), /搁置 1/);
      assert.match((await rows(page)).find(({ alarm }) => alarm === LEVEL).text, /余 29:5\d|余 30:00/, 'with the time that is left');
      mock.set('GW-01/TK-104.LT/L', { ...mock.alarms.get(LEVEL), alarm: 'GW-01/TK-104.LT/L', kind: 'l', priority: 3, state: 'oos', shelf_until: null });
      await until('each list has its count', async () => /停用 1/.test(await text(page, '[data-list=oos]')));
      assert.match(await text(page, '[data-list=suppressed]'), /设计抑制 0/);
      await page.click('[data-list=shelved]');
      await until('only the shelf', async () => (await rows(page)).length === 1);
      assert.match(await text(page, '[data-bar=filter]'), /只看：搁置，1 条 另有 1 条未确认报警没有列出/);
      await shot(page, 'shelf-list');
      await page.keyboard.press('Home');
      await page.fill('input[name=order-comment]', '校验完成');
      await page.click('[data-order=unshelve]');
      await until('off the shelf', () => mock.alarms.get(LEVEL).state === 'unack');
      assert.equal(mock.orders[2].comment, '校验完成');
      mock.change(LEVEL, { state: 'latched_acked', active: false });
      await page.click('[data-list=shelved]');
      await until('a latched row can be reset', () => page.$('[data-order=reset]'));
      await shot(page, 'latched');
      await page.click('[data-order=reset]');
      await until('and is gone', () => !mock.alarms.has(LEVEL));
      assert.deepEqual(faults, []);
      await close();
    },

    async calls({ browser, base, mock }) {
      mock.raise(1, 'hh', { value: 88 });
      mock.raise(13, 'h', { value: 27 });
      mock.ladders.set(`${LEVEL}#1`, newLadder(mock.alarms.get(LEVEL), stamp, Date.now()));
      const { page, faults, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      await until('rows', async () => (await rows(page)).length === 2);
      await page.keyboard.press('Home');
      await until('the panel', () => page.$('[data-calls=calling]'));
      assert.match(await text(page, '[data-calls-next]'), /下一步 李强 带班领导 phone/);
      assert.match(await text(page, '[data-calls-next]'), /00:4\d 后/, 'a countdown');
      assert.match(await text(page, '[data-attempt="1"]'), /王芳 值班员 sms 已送达/);
      await shot(page, 'calls');
      assert.deepEqual(await axe(page), []);
      await page.keyboard.press('c');
      await page.keyboard.press('2');
      await until('2 is nobody', async () => /无人接/.test(await text(page, '[data-attempt="2"]')));
      await page.fill('input[name=digits]', DIGITS);
      await page.click('[data-outcome=answered]');
      await until('digits confirm', () => page.$('[data-attempt="2"][data-delivery=confirmed]'));
      await until('feedback is due', async () => /反馈期限 0?9:\d\d 后|反馈期限 10:00 后/.test(await text(page, '[data-calls-reply]')));
      await page.fill('input[name=commander]', '李强');
      await page.fill('input[name=affected]', '3');
      await page.fill('input[name=reply]', '已关阀');
      await page.click('[data-outcome=answered]');
      await until('the reply is told', async () => /李强 · 3 · 已关阀/.test(await text(page, '[data-attempt="2"]')));
      await shot(page, 'calls-replied');
      await page.keyboard.press('j');
      await page.focus('[role=grid]');
      await page.keyboard.press('End');
      await until('nobody is called for the other', async () => (await page.$('[data-calls]')) === null);
      assert.deepEqual(faults, []);
      await close();
    },
  };
}

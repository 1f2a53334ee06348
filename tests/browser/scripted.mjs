// Stories that need a plant on a string: only the mock can tell them.
import assert from 'node:assert/strict';
import { axe, openPage, rows, until } from './browser.mjs';
import { MOCK_PASSWORD, stamp } from './mock.mjs';

/** A list this long is a county on its worst day. */
const MANY = 1_000;

export function mockStories({ live, text, shot }) {
  return {
    async quiet({ browser, base, mock }) {
      const { page, faults, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      await until('the proof of quiet', () => page.$('[data-empty=quiet]'));
      assert.match(await text(page, '[data-empty=quiet]'), /当前无报警。链路正常，20\/20 点在线，最后数据 \d+ s 前/);
      await shot(page, 'quiet');
      mock.journalOk = false;
      mock.ping();
      await until('an unwritable journal is not quiet', () => page.$('[data-empty=doubted]'));
      assert.equal(await page.$('[data-empty=quiet]'), null);
      await shot(page, 'doubted');
      mock.journalOk = true;
      mock.ping();
      await until('quiet again', () => page.$('[data-empty=quiet]'));
      mock.pullCable(true);
      await until('blind', () => page.$('[data-bar=blind]'));
      mock.clear();
      await until('the list is empty', async () => (await rows(page)).length === 0);
      await until('empty and blind is not quiet', () => page.$('[data-empty=doubted]'));
      assert.match(await text(page, '[data-empty=doubted]'), /看不见: GW-01, 20/);
      await shot(page, 'blind-empty');
      assert.deepEqual(faults, []);
      await close();
    },

    async misfits({ browser, base, mock }) {
      const misfit = (alarm, tag, row, zh) => ({ gateway: 'GW-01', alarm, tag, kind: null, row, judged: false, zh, en: 'in English' });
      mock.misfits = [
        misfit('GW-01//LIMITS', '', null, '网关 GW-01 在用限值第 7 版没有一行能读取，暂用配置文件中的限值判断，未经批准；请用 fengsui limits import 提交改正的限值并批准'),
        misfit('GW-01/TK-102.LT/HH', 'TK-102.LT', 9, '[limit] "x" 不是有限的数字；请写成 85 或 0.5 的样子'),
      ];
      mock.raise(13, 'h', { value: 27 });
      const { page, faults, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      await until('the desk says it', () => page.$('[data-misfits="2"]'));
      assert.match(await text(page, '[data-misfits]'), /2 条限值未按原意判断.*第 7 版没有一行能读取.*fengsui limits import/);
      const top = () => page.$eval('[role=row][data-alarm]', (row) => row.getBoundingClientRect().top);
      await until('a row', async () => (await rows(page)).length === 1);
      await page.click('button[data-bar=sound]');
      await until('the sound is allowed', async () => (await page.$('[data-bar=sound]')) === null);
      const before = await top();
      await page.click('[data-misfits] button');
      await until('all of them at a press', () => page.$('[data-misfits] ul'));
      assert.match(await text(page, '[data-misfits] ul'), /TK-102\.LT\/HH 第 9 行 · 无人判断 \[limit\] "x" 不是有限的数字/);
      assert.equal(await top(), before, 'the list lies over the table and moves no row');
      assert.deepEqual(await axe(page), [], 'with the list open');
      await shot(page, 'misfits');
      await page.click('[data-misfits] button');
      await page.goto(`${base}/points/4`);
      await until('its own and that of all', () => page.$('[data-point-misfits="2"]'));
      assert.match(await text(page, '[data-point-misfits]'), /TK-102\.LT\/HH/);
      assert.deepEqual(await axe(page), [], 'on the page of the point');
      await shot(page, 'misfits-point');
      mock.misfits = [];
      mock.ping();
      mock.ping();
      await until('the mend ends it at once', async () => (await page.$('[data-misfits]')) === null && (await page.$('[data-point-misfits]')) === null);
      assert.deepEqual(faults, []);
      await close();
    },

    async login({ browser, base, mock }) {
      mock.expel();
      mock.raise(13, 'h', { value: 27 });
      const { page, faults, close } = await openPage(browser, `${base}/desk`);
      await until('a stranger is asked who it is', () => page.$('form.log-in'));
      assert.equal(await page.$('[role=grid]'), null, 'and sees no list');
      assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('name')), 'name', 'the name has the focus');
      assert.equal(await page.getAttribute('input[name=name]', 'autocomplete'), 'username');
      assert.equal(await page.getAttribute('input[name=password]', 'autocomplete'), 'current-password');
      assert.deepEqual(await axe(page), [], 'the log-in page');
      await page.keyboard.type('viewer');
      await page.keyboard.press('Tab');
      await page.keyboard.type('wrong');
      await page.keyboard.press('Enter');
      await until('a refusal has its reason', async () => /没有登录：名称或密码不对/.test(await text(page, 'form.log-in')));
      await shot(page, 'log-in');
      await page.fill('input[name=password]', MOCK_PASSWORD);
      await page.keyboard.press('Enter');
      await live(page);
      assert.match(await text(page, '[data-role=viewer]'), /viewer 查看/);
      await page.keyboard.press('Home');
      await until('a viewer is told why not', () => page.$('[data-looks-only]'));
      assert.equal(await page.isDisabled('.actions button:first-child'), true);
      await page.keyboard.press('a');
      await until('also by key', async () => /查看角色不能确认/.test(await text(page, '.outcome')));
      assert.deepEqual(mock.acks, [], 'nothing was sent');
      await shot(page, 'viewer');
      await page.click('[data-role] button');
      await until('logged out', async () => /已退出登录/.test(await text(page, 'form.log-in')));
      await page.fill('input[name=name]', 'wang');
      await page.fill('input[name=password]', MOCK_PASSWORD);
      await page.keyboard.press('Enter');
      await live(page);
      const tones = await page.evaluate(() => window.__tones.length);
      mock.expel();
      await until('a session that ends says that nothing is seen', async () => /登录已失效/.test(await text(page, 'form.log-in')), 12_000);
      assert.ok(await page.$('.frame.unsafe'), 'the page is hatched');
      await until('and the horn says it as it says a broken link', () => page.evaluate((before) => window.__tones.slice(before).some(({ hz }) => hz === 400), tones), 15_000);
      await page.fill('input[name=name]', 'wang');
      await page.fill('input[name=password]', MOCK_PASSWORD);
      await page.keyboard.press('Enter');
      await live(page);
      await until('the list is back', async () => (await rows(page)).length === 1);
      assert.deepEqual(faults, []);
      await close();
    },

    async freeze({ browser, base, mock }) {
      mock.raise(13, 'h', { value: 27 });
      const { page, faults, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      await until('a row', async () => (await rows(page)).length === 1);
      await page.hover('[role=row][data-alarm]');
      mock.raise(1, 'hh', { value: 88 });
      mock.raise(14, 'h', { value: 26 });
      mock.raise(15, 'h', { value: 26 });
      await until('the strip gathers them', () => page.$('[data-strip="3"]'));
      assert.match(await text(page, '[data-strip]'), /\+3 新 其中 1 条 P1 ◆1红 TK-101\.LT/);
      assert.equal((await rows(page)).length, 1, 'rows do not move under the pointer');
      await page.waitForTimeout(500);
      assert.equal((await rows(page)).length, 1, 'the strip pushes no row away');
      await shot(page, 'strip');
      await page.keyboard.press('n');
      await until('N shows them', async () => (await rows(page)).length === 4);
      assert.equal((await rows(page))[0].priority, '1');
      await page.mouse.move(5, 5);
      mock.raise(2, 'h', { value: 44 });
      await until('free again, the next comes by itself', async () => (await rows(page)).length === 5);
      await page.keyboard.press('Home');
      const held = (await rows(page)).map(({ alarm }) => alarm);
      mock.raise(5, 'h', { value: 44, priority: 1 });
      await until('the focus holds the list as the pointer does', () => page.$('[data-strip="1"]'));
      await page.keyboard.press('Tab');
      await page.waitForTimeout(300);
      assert.deepEqual((await rows(page)).map(({ alarm }) => alarm), held, 'also on the way to the note');
      await page.keyboard.press('Shift+Tab');
      await page.keyboard.press('Home');
      await until('Home goes to the newest P1 even while it waits', async () => (await rows(page)).some((row) => row.active && row.alarm.includes('TK-102.TT') && row.index === 2));
      const key = (await rows(page))[0].alarm;
      mock.change(key, { state: 'normal', active: false });
      await until('a row that goes stays in its place', async () => (await rows(page))[0].state === 'normal');
      assert.equal((await rows(page))[0].alarm, key);
      await page.keyboard.press('n');
      await until('and leaves on release', async () => (await rows(page))[0].alarm !== key);
      assert.deepEqual(faults, []);
      await close();
    },

    async muted({ browser, base, mock }) {
      mock.raise(13, 'h', { value: 27 });
      const { page, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      await page.click('button[data-bar=sound]');
      const pitch = () => page.evaluate(() => window.__tones[window.__tones.length - 1]?.hz ?? 0);
      await until('P2 sounds', async () => (await pitch()) === 1000);
      await page.keyboard.press('m');
      await until('muted', async () => /静音中/.test(await text(page, '.top')));
      mock.raise(3, 'h', { value: 19, priority: 3 });
      await page.waitForTimeout(700);
      assert.match(await text(page, '.top'), /静音中/, 'a lower priority does not break a mute');
      mock.raise(1, 'hh', { value: 90 });
      await until('P1 breaks it', async () => !/静音中/.test(await text(page, '.top')));
      await until('with 1 400 Hz', () => page.evaluate(() => window.__tones.some(({ hz }) => hz === 1400)));
      await close();
    },

    async words({ browser, base, mock }) {
      mock.raise(1, 'hh', { value: 88, recorded: false, first_out: 'first' });
      mock.refuse = '当前状态不允许';
      const { page, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      await until('a row', async () => (await rows(page)).length === 1);
      assert.match((await rows(page))[0].text, /未入账/);
      assert.equal(await text(page, '.flags [data-first=first]'), '首', 'what came first is marked');
      await page.keyboard.press('Home');
      await until('the detail says it in words', async () => /最先发生/.test(await text(page, '.detail [data-first=first]')));
      await page.keyboard.press('Tab');
      await page.keyboard.type('看过');
      await page.keyboard.press('Enter');
      await until('a refusal is told with its reason', async () => /没有确认：当前状态不允许/.test(await text(page, '.outcome')));
      mock.refuse = '';
      await page.keyboard.press('Home');
      await page.keyboard.press('Tab');
      await page.keyboard.type('值班长已知');
      await page.keyboard.press('Enter');
      await until('the note acknowledges', async () => (await rows(page))[0].state === 'acked');
      assert.deepEqual(mock.acks.map(({ comment }) => comment), ['看过', '值班长已知']);
      mock.send('alarm', { alarm: 'x', state: 'sideways' }, 1);
      await until('a message that cannot be read is told', () => page.$('[data-bar=misread]'));
      assert.match(await text(page, '[data-bar=misread]'), /alarm\.\w+: wanted/);
      await shot(page, 'misread');
      await close();
    },

    async reset({ browser, base, mock }) {
      const { page, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      mock.alarms.set('GW-01/X/HH', { ...template(), alarm: 'GW-01/X/HH' });
      mock.send('reset', '');
      await until('reset reads the desk again', async () => (await rows(page)).length === 1);
      for (const client of mock.clients) client.destroy();
      await until('an ended stream comes back', async () => mock.clients.size === 1 && (await page.$('[data-link=live]')), 8_000);
      await close();
    },

    async many({ browser, base, mock }) {
      for (let i = 0; i < MANY; i += 1) {
        const key = `GW-01/N-${String(i).padStart(4, '0')}/H`;
        mock.alarms.set(key, { ...template(), alarm: key, tag: `N-${i}`, priority: (i % 4) + 1, te_on: stamp(Date.now() - i * 1000) });
      }
      const { page, faults, close } = await openPage(browser, `${base}/desk`);
      await live(page);
      await until('rows', async () => (await rows(page)).length > 10);
      assert.ok((await rows(page)).length < 80, 'only the rows in sight exist');
      assert.equal(await page.getAttribute('[role=grid]', 'aria-rowcount'), String(MANY + 1));
      assert.ok(await page.$('[data-bar=flood]'), 'a flood is said');
      assert.equal(await page.$('.grid.flash'), null, 'and nothing flashes');
      await shot(page, 'flood');
      await page.keyboard.press('End');
      await until('End', async () => (await rows(page)).some((row) => row.active && row.index === MANY + 1));
      await page.evaluate(() => document.querySelector('[role=grid]').scrollTo(0, 0));
      await page.waitForTimeout(200);
      assert.ok((await rows(page)).some((row) => row.active && row.index === MANY + 1), 'the active row stays mounted');
      const beat = setInterval(() => {
        for (let i = 0; i < 5; i += 1) mock.change(`GW-01/N-000${i}/H`, { value: Math.random() });
      }, 100);
      const frames = await page.evaluate(
        () =>
          new Promise((done) => {
            let count = 0;
            const start = performance.now();
            const step = () => {
              count += 1;
              if (performance.now() - start > 3_000) done(count / 3);
              else requestAnimationFrame(step);
            };
            requestAnimationFrame(step);
          }),
      );
      clearInterval(beat);
      console.log(`     ${frames.toFixed(0)} frames/s with ${MANY} alarms and 50 changes/s`);
      assert.ok(frames > 20, `only ${frames} frames a second`);
      assert.deepEqual(faults, []);
      await close();
    },
  };
}

function template() {
  const now = stamp(Date.now());
  return {
    alarm: '', occurrence: 1, gateway: 'GW-01', enterprise: '示例石化有限公司', installation: '1#罐区', equipment: 'TK', tag: 'X', point: null,
    name: '液位', kind: 'h', priority: 2, state: 'unack', active: true, limit: 80, unit: '%', value: 81, te_on: now, te_off: null,
    known: now, late: false, recorded: true, acked_by: null, acked_at: null, comment: '',
  };
}

// Order, freeze, window, verdict, model: what the desk may show.
import { describe, expect, test } from 'vitest';
import { NOTHING_SHOWN, arrange, rowOf } from '../src/desk/freeze';
import { misfitsOf } from '../src/desk/misfits';
import { DeskModel } from '../src/desk/model';
import { inOrder, stateWord, unackCounts } from '../src/desk/order';
import { trendAddress } from '../src/desk/rules';
import { containsAll } from '../src/desk/search';
import { verdict, type Evidence } from '../src/desk/verdict';
import { mounted, reveal, toMount } from '../src/desk/window';
import { rowKey, type Alarm } from '../src/door/desk';
import { aDesk, aGateway, aMisfit, aProof, anAlarm } from './samples';

function map(...alarms: readonly Alarm[]): ReadonlyMap<string, Alarm> {
  return new Map(alarms.map((alarm) => [rowKey(alarm), alarm]));
}

describe('order', () => {
  test('unacknowledged, then priority, then newest; overlays last', () => {
    const alarms = [
      anAlarm({ alarm: 'acked p1', state: 'acked', teOn: 9 }),
      anAlarm({ alarm: 'old p2', priority: 2, teOn: 1 }),
      anAlarm({ alarm: 'new p2', priority: 2, teOn: 5 }),
      anAlarm({ alarm: 'p4 returned', priority: 4, state: 'rtn_unack', teOn: 8 }),
      anAlarm({ alarm: 'shelved p1', state: 'shelved', teOn: 9 }),
      anAlarm({ alarm: 'p1', teOn: 2 }),
    ];
    expect(inOrder(alarms)).toEqual(['p1#1', 'new p2#1', 'old p2#1', 'p4 returned#1', 'acked p1#1', 'shelved p1#1']);
    expect(unackCounts(alarms)).toEqual([1, 2, 0, 1]);
  });
});

test('what no person has acknowledged is not called acknowledged', () => {
  expect(stateWord(anAlarm({ state: 'acked' }))).toBe('no_answer');
  expect(stateWord(anAlarm({ state: 'acked', ackedBy: '王敏' }))).toBe('acked');
  expect(stateWord(anAlarm({ state: 'unack' }))).toBe('unack');
});

describe('freeze', () => {
  const old = anAlarm({ alarm: 'old', priority: 2, teOn: 1 });
  const urgent = anAlarm({ alarm: 'urgent', priority: 1, teOn: 9 });

  test('a held list keeps its rows; what is new waits; release shows it', () => {
    const first = arrange(NOTHING_SHOWN, map(old), 'free');
    const held = arrange(first, map(old, urgent), 'held');
    expect([held.rows, held.waiting]).toEqual([['old#1'], ['urgent#1']]);
    const free = arrange(held, map(old, urgent), 'free');
    expect([free.rows, free.waiting]).toEqual([['urgent#1', 'old#1'], []]);
  });

  test('an acknowledged row stays in its place while held', () => {
    const first = arrange(NOTHING_SHOWN, map(urgent, old), 'free');
    const held = arrange(first, map({ ...urgent, state: 'acked' }, old), 'held');
    expect(held.rows).toEqual(['urgent#1', 'old#1']);
    expect(held.waiting).toEqual([]);
  });

  test('a row that is raised again waits as new', () => {
    const first = arrange(NOTHING_SHOWN, map({ ...old, state: 'acked' }), 'free');
    expect(arrange(first, map(old), 'held').waiting).toEqual(['old#1']);
    const next = arrange(first, map({ ...old, occurrence: 2 }), 'held');
    expect([next.rows, next.waiting]).toEqual([['old#1'], ['old#2']]);
  });

  test('a row whose alarm has gone stays, gone, until release', () => {
    const first = arrange(NOTHING_SHOWN, map(urgent, old), 'free');
    const held = arrange(first, map(old), 'held');
    expect(held.rows).toEqual(['urgent#1', 'old#1']);
    expect(rowOf(held, map(old), 'urgent#1')).toMatchObject({ state: 'normal', active: false });
    expect(arrange(held, map(old), 'free').rows).toEqual(['old#1']);
  });

  test('an empty list cannot be held: the first alarm always shows', () => {
    expect(arrange(NOTHING_SHOWN, map(urgent), 'held').rows).toEqual(['urgent#1']);
  });

  test('thousands of random shifts: held rows never move, and every alarm is shown or waits', () => {
    const seed = 20_261_121;
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    let alarms = map(old);
    let shown = arrange(NOTHING_SHOWN, alarms, 'free');
    for (let step = 0; step < 5_000; step += 1) {
      const next = new Map(alarms);
      const priority = (random(4) + 1) as 1 | 2 | 3 | 4;
      const one = anAlarm({ alarm: `k${random(6)}`, priority, occurrence: random(3), state: random(2) === 0 ? 'unack' : 'acked', teOn: random(100) });
      if (random(3) === 0) next.delete(rowKey(one));
      else next.set(rowKey(one), one);
      alarms = next;
      const motion = random(4) === 0 ? 'free' : 'held';
      const after = arrange(shown, alarms, motion);
      if (motion === 'held' && shown.rows.length > 0) expect(after.rows, `seed ${seed} step ${step}`).toEqual(shown.rows);
      const seen = new Set([...after.rows, ...after.waiting]);
      for (const name of alarms.keys()) expect(seen.has(name), `seed ${seed} step ${step} ${name}`).toBe(true);
      shown = after;
    }
  });
});

describe('window', () => {
  test('of a thousand rows only those in sight exist, and the active one', () => {
    const window = mounted(1_000, 2_600, 520);
    expect(window).toEqual({ first: 94, end: 126 });
    expect(toMount(1_000, window, 3)[0]).toBe(3);
    expect(toMount(1_000, window, 999)).toContain(999);
    expect(toMount(1_000, window, 100)).toHaveLength(32);
    expect(mounted(3, 0, 520)).toEqual({ first: 0, end: 3 });
  });

  test('a row is brought into sight with least motion', () => {
    expect(reveal(0, 260, 520)).toBe(0);
    expect(reveal(30, 0, 520)).toBe(31 * 26 - 520);
    expect(reveal(15, 260, 520)).toBe(260);
  });
});

describe('verdict', () => {
  const good: Evidence = { link: 'live', alarms: 0, rows: 0, gateways: [aGateway()], misread: 0, proof: aProof(), ageMs: 2_000 };
  const offline = aGateway({ state: 'offline', blind: 20, reporting: 0 });
  const doubted: readonly (readonly [string, Partial<Evidence>])[] = [
    ['blind', { gateways: [offline] }],
    ['blind', { gateways: [aGateway({ state: 'never_seen' })] }],
    ['no_gateway', { gateways: [], proof: aProof({ gateways: 0, gatewaysOnline: 0 }) }],
    ['no_point', { proof: aProof({ points: 0, reporting: 0 }) }],
    ['points_blind', { proof: aProof({ reporting: 0, blind: 20 }) }],
    ['points_blind', { proof: aProof({ reporting: 17, blind: 3 }) }],
    ['points_blind', { proof: aProof({ gatewaysOnline: 0 }) }],
    ['old_data', { ageMs: 31_000 }],
    ['old_data', { ageMs: null }],
    ['journal', { proof: aProof({ journalOk: false }) }],
    ['storage', { gateways: [aGateway({ storage: 'full' })] }],
    ['storage', { gateways: [aGateway({ storage: 'in_memory' })] }],
    ['misread', { misread: 1 }],
  ];

  test('empty with every proof is quiet', () => {
    expect(verdict(good).kind).toBe('quiet');
    expect(verdict({ ...good, gateways: [aGateway({ storage: 'thinning' })] }).kind, 'alarms keep their room').toBe('quiet');
    expect(verdict({ ...good, proof: aProof({ points: 415, reporting: 412, blind: 3 }) }).kind, 'and names the few that are missing').toBe('quiet');
  });

  test.each(doubted)('empty is not quiet: %s', (reason, changes) => {
    const told = verdict({ ...good, ...changes });
    expect(told.kind === 'doubted' && told.reasons.map(({ kind }) => kind)).toContain(reason);
  });

  test('broken, starting and hidden rows are never quiet', () => {
    expect(verdict({ ...good, link: 'broken' }).kind).toBe('broken');
    expect(verdict({ ...good, link: 'starting' }).kind).toBe('starting');
    expect(verdict({ ...good, proof: null }).kind).toBe('starting');
    expect(verdict({ ...good, alarms: 3 })).toEqual({ kind: 'filtered', hidden: 3 });
  });
});

describe('model', () => {
  test('an alarm enters, changes and leaves; only what asks for an answer is news', () => {
    const model = new DeskModel();
    model.load(aDesk());
    expect(model.apply({ kind: 'alarm', alarm: anAlarm() })).toHaveLength(1);
    expect(model.apply({ kind: 'alarm', alarm: anAlarm() })).toHaveLength(0);
    expect(model.apply({ kind: 'alarm', alarm: anAlarm({ state: 'acked' }) })).toHaveLength(0);
    expect(model.apply({ kind: 'alarm', alarm: anAlarm({ occurrence: 2 }) })).toHaveLength(1);
    expect(Array.from(model.alarms.keys()), 'an older occurrence still wants its answer').toHaveLength(2);
    for (const occurrence of [1, 2]) model.apply({ kind: 'alarm', alarm: anAlarm({ occurrence, state: 'normal', active: false }) });
    expect(model.alarms.size).toBe(0);
  });

  test('a new snapshot drops what is over and announces what it brings', () => {
    const model = new DeskModel();
    model.load(aDesk({ alarms: [anAlarm({ alarm: 'a' })] }));
    const news = model.load(aDesk({ alarms: [anAlarm({ alarm: 'b' })] }));
    expect(Array.from(model.alarms.keys())).toEqual(['b#1']);
    expect(news).toMatchObject([{ kind: 'raised', alarm: { alarm: 'b' } }]);
  });

  test('a proof that contradicts our gateways twice asks for a snapshot', () => {
    const model = new DeskModel();
    model.load(aDesk());
    const ping = { kind: 'ping', serverTime: 0, proof: aProof({ gatewaysOnline: 0 }) } as const;
    expect(model.apply(ping)).toEqual([]);
    expect(model.apply(ping)).toEqual([{ kind: 'reload' }]);
    model.apply({ kind: 'gateway', gateway: aGateway({ state: 'offline' }) });
    expect(model.apply(ping)).toEqual([]);
  });

  test('a proof that counts other limits than we list asks for the list; an old centre counts none', () => {
    const model = new DeskModel();
    model.load(aDesk());
    const ping = (misfits: number | null) => ({ kind: 'ping', serverTime: 0, proof: aProof({ misfits }) }) as const;
    expect([model.apply(ping(null)), model.apply(ping(null)), model.apply(ping(1))]).toEqual([[], [], []]);
    expect(model.apply(ping(1))).toEqual([{ kind: 'reload' }]);
    model.load(aDesk({ misfits: [aMisfit()] }));
    expect([model.apply(ping(1)), model.apply(ping(1))]).toEqual([[], []]);
  });

  test('a point tells its own limits that nobody judges, and those of nobody knows whom', () => {
    const own = aMisfit();
    const nobodys = aMisfit({ alarm: 'GW-01//LIMITS', tag: '' });
    const all = [own, nobodys, aMisfit({ tag: 'TK-102.LT' }), aMisfit({ gateway: 'GW-02' }), aMisfit({ alarm: 'GW-01//OFFLINE', tag: '' })];
    expect(misfitsOf(all, { gateway: 'GW-01', tag: 'TK-101.LT' })).toEqual([own, nobodys]);
  });

  test('the same package told again is one notice', () => {
    const model = new DeskModel();
    const late = { gateway: 'GW-01', records: 1, samples: 10, from: 1, to: 2, excursions: 1 };
    model.apply({ kind: 'late', late });
    model.apply({ kind: 'late', late: { ...late, samples: 20 } });
    expect(model.lates).toMatchObject([{ samples: 20 }]);
    const kept = model.lates[0];
    if (kept !== undefined) model.dismiss(kept);
    expect(model.lates).toEqual([]);
  });
});

test('a search wants every word', () => {
  expect(containsAll('TK-101.LT 液位 示例石化', '石化 tk-101')).toBe(true);
  expect(containsAll('TK-101.LT 液位 示例石化', '石化 tk-102')).toBe(false);
});

test('a trend opens live for a fresh alarm, at its moment for an old one, and not for a gateway', () => {
  const hour = 3_600_000;
  expect(trendAddress(anAlarm({ teOn: hour }), hour + 60_000)).toBe('/points/1?range=10m');
  expect(trendAddress(anAlarm({ teOn: hour, teOff: hour + 1 }), 9 * hour)).toBe('/points/1?from=3000000&to=4200001');
  expect(trendAddress(anAlarm({ point: null }), hour)).toBeNull();
});

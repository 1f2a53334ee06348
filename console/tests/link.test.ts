// The link's watchdog, with the clock in our hands.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Desk } from '../src/door/desk';
import { Link, SILENCE_MAX_MS, type LinkState, type StreamEar } from '../src/link/link';
import { aDesk, wireAlarm, wireProof } from './samples';

const PING = JSON.stringify({ server_time: '2026-11-21T22:14:05Z', proof: wireProof() });

/** A centre that does what the story says. */
class Centre {
  answers: 'yes' | 'no' | 'never' = 'yes';
  ears: StreamEar[] = [];
  closed = 0;
  asked = 0;
  after: number[] = [];

  readDesk(): Promise<Desk> {
    this.asked += 1;
    if (this.answers === 'yes') return Promise.resolve(aDesk({ seq: 40 + this.asked }));
    if (this.answers === 'no') return Promise.reject(new Error('refused'));
    return new Promise((_, reject) => setTimeout(() => reject(new Error('timeout')), 5_000));
  }

  openStream(after: number, ear: StreamEar): { close(): void } {
    this.after.push(after);
    this.ears.push(ear);
    return { close: () => (this.closed += 1) };
  }

  get ear(): StreamEar {
    const last = this.ears[this.ears.length - 1];
    if (last === undefined) throw new Error('no stream was opened');
    return last;
  }
}

function story(answers: Centre['answers'] = 'yes'): { centre: Centre; link: Link; states: LinkState['kind'][]; misread: string[]; desks: number[] } {
  const centre = new Centre();
  centre.answers = answers;
  const states: LinkState['kind'][] = [];
  const misread: string[] = [];
  const desks: number[] = [];
  const link = new Link(
    {
      readDesk: () => centre.readDesk(),
      openStream: (after, ear) => centre.openStream(after, ear),
      steady: () => performance.now(),
      why: String,
    },
    {
      desk: (desk) => desks.push(desk.seq),
      event: () => undefined,
      misread: (why) => misread.push(why),
      state: ({ kind }) => states.push(kind),
    },
  );
  link.start();
  return { centre, link, states, misread, desks };
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

describe('the link', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('starts from a snapshot, streams from its end, and lives by what it hears', async () => {
    const { centre, states, desks } = story();
    await pass(0);
    expect([desks, centre.after]).toEqual([[41], [41]]);
    expect(states).toEqual([]);
    centre.ear.opened();
    expect(states).toEqual(['live']);
    for (let i = 0; i < 20; i += 1) {
      await pass(5_000);
      centre.ear.heard('ping', PING);
    }
    expect(states).toEqual(['live']);
  });

  test('a half-open link is said within ten seconds and stays said until something is heard', async () => {
    const { centre, states } = story();
    await pass(0);
    centre.ear.opened();
    centre.answers = 'never';
    await pass(SILENCE_MAX_MS - 300);
    expect(states).toEqual(['live']);
    await pass(600);
    expect(states).toEqual(['live', 'broken']);
    expect(SILENCE_MAX_MS + 300).toBeLessThan(10_000);
    await pass(60_000);
    expect(states.slice(1).every((kind) => kind === 'broken')).toBe(true);
    centre.answers = 'yes';
    await pass(12_000);
    expect(states[states.length - 1], 'a snapshot alone does not make it live').toBe('broken');
    centre.ear.opened();
    expect(states[states.length - 1]).toBe('live');
  });

  test('a centre that never answered is broken after the same silence', async () => {
    const { states } = story('never');
    await pass(SILENCE_MAX_MS + 300);
    expect(states[0]).toBe('broken');
  });

  test('a stream that ends and comes back at once was no break', async () => {
    const { centre, states } = story();
    await pass(0);
    centre.ear.opened();
    await pass(1_000);
    centre.ear.ended();
    await pass(600);
    centre.ear.opened();
    await pass(3_000);
    expect(states).toEqual(['live']);
    expect(centre.after).toEqual([41, 42]);
  });

  test('a stream that ends and does not come back is said long before the silence', async () => {
    const { centre, states } = story();
    await pass(0);
    centre.ear.opened();
    await pass(1_000);
    centre.answers = 'no';
    centre.ear.ended();
    await pass(2_000);
    expect(states).toContain('broken');
    centre.answers = 'yes';
    await pass(5_000);
    centre.ear.opened();
    expect(states[states.length - 1]).toBe('live');
  });

  test('an old stream that speaks after it was left is not heard', async () => {
    const { centre, states } = story();
    await pass(0);
    const first = centre.ear;
    first.opened();
    centre.answers = 'never';
    await pass(SILENCE_MAX_MS + 300);
    first.heard('ping', PING);
    expect(states[states.length - 1]).toBe('broken');
    expect(centre.closed).toBe(1);
  });

  test('a message that cannot be read proves the link and is told', async () => {
    const { centre, states, misread } = story();
    await pass(0);
    centre.ear.heard('alarm', JSON.stringify(wireAlarm({ tag: 3 })));
    expect(states).toEqual(['live']);
    expect(misread[0]).toBe('alarm.tag: wanted a text, got 3');
  });

  test('reload reads a snapshot again without calling the link broken, and not without pause', async () => {
    const { centre, link, states } = story();
    await pass(0);
    centre.ear.opened();
    link.reload();
    link.reload();
    expect(centre.asked).toBe(1);
    await pass(600);
    centre.ear.opened();
    expect([centre.asked, states]).toEqual([2, ['live']]);
  });

  test('attempts grow rarer, but never rarer than four seconds', async () => {
    const { centre } = story('no');
    await pass(10_000);
    const early = centre.asked;
    await pass(40_000);
    expect(early).toBeGreaterThan(4);
    expect(centre.asked - early).toBeGreaterThanOrEqual(9);
    expect(centre.asked - early).toBeLessThanOrEqual(11);
  });
});

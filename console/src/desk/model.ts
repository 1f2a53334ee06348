// Everything the desk knows, and how an event changes it. No clock, no page, no sound: `apply`
// says what is new, others make it heard.
import { rowKey, type Alarm, type Desk, type Gateway, type Misfit, type Proof } from '../door/desk';
import type { Outage } from '../door/outage';
import type { Sample } from '../door/reading';
import type { Late, StreamEvent } from '../door/stream';
import { isUnack } from './order';

/** Back-fill notices kept on the screen; the oldest gives way. The journal has them all. */
const LATES_MAX = 5;

/** Unreadable messages kept for the screen; one is enough to know that the console is too old. */
const GARBLED_MAX = 3;

/** A centre lists no more limits that are not judged; its proof counts them all. */
const MISFITS_LISTED = 200;

/** What was announced just now. */
export type News =
  | { readonly kind: 'raised'; readonly alarm: Alarm }
  | { readonly kind: 'late'; readonly late: Late }
  | { readonly kind: 'reload' };

export class DeskModel {
  /** By `rowKey`. */
  alarms: ReadonlyMap<string, Alarm> = new Map();
  gateways: readonly Gateway[] = [];
  lates: readonly Late[] = [];
  outages: readonly Outage[] = [];
  misfits: readonly Misfit[] = [];
  /** What of the last snapshot could not be read. */
  misread: readonly string[] = [];
  /** What of the stream could not be read. Stays until a person has seen it. */
  garbled: readonly string[] = [];
  proof: Proof | null = null;
  /** Newest sample of each point. */
  readonly live = new Map<number, Sample>();
  /** Source time of the newest sample of the stream. */
  newest = -Infinity;
  /** Pings in a row whose proof contradicts what we list. */
  #contradictions = 0;

  /** A fresh snapshot replaces everything but the notices. Returns what it announces. */
  load(desk: Desk): readonly News[] {
    const before = this.alarms;
    this.alarms = new Map(desk.alarms.filter(({ state }) => state !== 'normal').map((alarm) => [rowKey(alarm), alarm]));
    this.gateways = desk.gateways;
    this.outages = desk.outages;
    this.misfits = desk.misfits;
    this.proof = desk.proof;
    this.misread = desk.misread;
    this.#contradictions = 0;
    return Array.from(this.alarms.values())
      .filter((alarm) => isRaised(before.get(rowKey(alarm)), alarm))
      .map((alarm) => ({ kind: 'raised', alarm }));
  }

  apply(event: StreamEvent): readonly News[] {
    switch (event.kind) {
      case 'alarm':
        return this.#alarm(event.alarm);
      case 'gateway':
        this.gateways = replaced(this.gateways, event.gateway);
        return [];
      case 'late':
        this.lates = [...this.lates.filter((late) => !isSame(late, event.late)), event.late].slice(-LATES_MAX);
        return [{ kind: 'late', late: event.late }];
      case 'values':
        for (const [point, sample] of event.values) {
          this.live.set(point, sample);
          this.newest = Math.max(this.newest, sample.te);
        }
        return [];
      case 'ping':
        return this.#ping(event.proof);
      case 'reset':
        return [{ kind: 'reload' }];
    }
  }

  /** An event that could not be read. */
  cannotRead(why: string): void {
    this.garbled = [...this.garbled, why].slice(-GARBLED_MAX);
  }

  forgetGarbled(): void {
    this.garbled = [];
  }

  dismiss(late: Late): void {
    this.lates = this.lates.filter((other) => other !== late);
  }

  #alarm(alarm: Alarm): readonly News[] {
    const key = rowKey(alarm);
    const before = this.alarms.get(key);
    const next = new Map(this.alarms);
    if (alarm.state === 'normal') next.delete(key);
    else next.set(key, alarm);
    this.alarms = next;
    return isRaised(before, alarm) ? [{ kind: 'raised', alarm }] : [];
  }

  /** One contradiction is an event on its way; two are an event that was lost. */
  #ping(proof: Proof): readonly News[] {
    this.proof = proof;
    const online = this.gateways.filter(({ state }) => state === 'online').length;
    const misfits = proof.misfits === null || Math.min(proof.misfits, MISFITS_LISTED) === this.misfits.length;
    const agrees = online === proof.gatewaysOnline && this.gateways.length === proof.gateways && misfits;
    this.#contradictions = agrees ? 0 : this.#contradictions + 1;
    return this.#contradictions >= 2 ? [{ kind: 'reload' }] : [];
  }
}

/** True where the operator has something new to answer. */
function isRaised(before: Alarm | undefined, now: Alarm): boolean {
  if (!isUnack(now)) return false;
  return before === undefined || !isUnack(before) || now.priority < before.priority;
}

function isSame(a: Late, b: Late): boolean {
  return a.gateway === b.gateway && a.from === b.from;
}

function replaced(gateways: readonly Gateway[], gateway: Gateway): readonly Gateway[] {
  const known = gateways.some((other) => other.gateway === gateway.gateway);
  return known
    ? gateways.map((other) => (other.gateway === gateway.gateway ? gateway : other))
    : [...gateways, gateway];
}

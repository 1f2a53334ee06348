// Requests to the centre. Each has a time limit, because a half-open link answers nothing at all;
// each answer goes through its door.
import { calls, type Calls, type Outcome } from './calls';
import { ackResults, demo, given, problem, type AckResult, type Demo, type Given } from './commands';
import { desk, type Desk } from './desk';
import { pointDetail, points, trend, type Point, type PointDetail, type Trend } from './points';
import { json, type Door } from './shape';

/** A request that got no usable answer, in words for the screen. */
export class NoAnswer extends Error {
  constructor(
    readonly reason: 'timeout' | 'unreachable' | 'refused' | 'log_in',
    message: string,
    /** What HTTP said, where it said something. */
    readonly status: number | null = null,
  ) {
    super(message);
    this.name = 'NoAnswer';
  }
}

/** A reader waits no longer than this; an answer on a good link takes well under a second. */
export const ANSWER_MAX_MS = 5_000;

/** What the centre should speak. */
let speaks = 'zh-CN';

export function speak(language: string): void {
  speaks = language;
}

/** Who hears that the centre knows us no more. */
let stranger = (): void => undefined;

export function whenStranger(hear: () => void): void {
  stranger = hear;
}

const LOG_IN = '/api/v1/login';

/** Somebody's password was wrong; the one who asks is still known. */
const WRONG_PASSWORD = 'wrong_password';

async function ask<T>(path: string, door: Door<T>, init: RequestInit = {}): Promise<T> {
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), ANSWER_MAX_MS);
  try {
    const answer = await fetch(path, {
      ...init,
      cache: 'no-store',
      signal: ending.signal,
      headers: { Accept: 'application/json', 'Accept-Language': speaks, ...init.headers },
    });
    const body = await answer.text();
    if (answer.status === 401 && path !== LOG_IN && codeOf(body) !== WRONG_PASSWORD) {
      stranger();
      throw new NoAnswer('log_in', path);
    }
    if (!answer.ok) throw new NoAnswer('refused', refusal(answer.status, body), answer.status);
    return door(body === '' ? null : json(body, path), path);
  } catch (error) {
    if (ending.signal.aborted) throw new NoAnswer('timeout', path);
    if (error instanceof TypeError) throw new NoAnswer('unreachable', path);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function codeOf(body: string): string {
  try {
    return problem(json(body, 'problem'), 'problem').code;
  } catch {
    return '';
  }
}

function refusal(status: number, body: string): string {
  try {
    const { title, detail, fix } = problem(json(body, 'problem'), 'problem');
    return [title, detail, fix].filter((part) => part !== '').join(' – ') || `HTTP ${status}`;
  } catch {
    return `HTTP ${status}`;
  }
}

function post<T>(path: string, door: Door<T>, body: unknown): Promise<T> {
  return ask(path, door, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Fengsui': '1' },
    body: JSON.stringify(body),
  });
}

/** An answer of which only the arrival matters. */
const anything: Door<null> = () => null;

/** Throws where the centre refuses, with its reason. */
export function logIn(name: string, password: string): Promise<null> {
  return post(LOG_IN, anything, { name, password });
}

export function logOut(): Promise<null> {
  return post('/api/v1/logout', anything, {});
}

export function readDesk(): Promise<Desk> {
  return ask('/api/v1/desk', desk);
}

export function readPoints(): Promise<readonly Point[]> {
  return ask('/api/v1/points', points);
}

export function readPoint(id: number): Promise<PointDetail> {
  return ask(`/api/v1/points/${id}`, pointDetail);
}

export function readTrend(id: number, from: number, to: number, buckets: number): Promise<Trend> {
  const span = `from=${encodeURIComponent(stamp(from))}&to=${encodeURIComponent(stamp(to))}`;
  return ask(`/api/v1/points/${id}/trend?${span}&buckets=${buckets}`, trend);
}

export interface Ack {
  readonly alarm: string;
  readonly occurrence: number;
}

export function acknowledge(acks: readonly Ack[], comment: string): Promise<readonly AckResult[]> {
  const named = acks.map(({ alarm, occurrence }) => ({ alarm, occurrence }));
  return post('/api/v1/alarms/ack', ackResults, { acks: named, comment, request: requestId() });
}

/** An order about one alarm, as its own address wants it. */
export type Order =
  | {
      readonly kind: 'shelve';
      readonly alarm: string;
      readonly minutes: number;
      readonly oneShot: boolean;
      readonly reason: string;
      readonly comment: string;
      /** User name and password: the second person is there, not only named. */
      readonly secondPerson: string;
      readonly secondPassword: string;
      readonly permit: string;
    }
  | { readonly kind: 'unshelve' | 'reset' | 'in_service'; readonly alarm: string; readonly comment: string };

export function give(order: Order): Promise<Given> {
  return post(`/api/v1/alarms/${order.kind}`, given, { ...wireOrder(order), request: requestId() });
}

function wireOrder(order: Order): Readonly<Record<string, unknown>> {
  if (order.kind !== 'shelve') return { alarm: order.alarm, comment: order.comment };
  const { alarm, minutes, oneShot, reason, comment, secondPerson, secondPassword, permit } = order;
  const said = (text: string): string | null => (text === '' ? null : text);
  const second = { second_person: said(secondPerson), second_password: said(secondPassword) };
  return { alarm, minutes, one_shot: oneShot, reason, comment, permit: said(permit), ...second };
}

/** Nothing there, or a centre that makes no calls. */
const ABSENT: readonly (number | null)[] = [404, 501];

/** `null`: nobody is called for this occurrence. */
export async function readCalls({ alarm, occurrence }: Ack): Promise<Calls | null> {
  try {
    return await ask(`/api/v1/calls/${encodeURIComponent(alarm)}/${occurrence}`, calls);
  } catch (error) {
    if (error instanceof NoAnswer && ABSENT.includes(error.status)) return null;
    throw error;
  }
}

/** What a person heard on the telephone. */
export interface Heard extends Ack {
  readonly attempt: number;
  readonly outcome: Outcome;
  readonly digits: string;
  readonly commander: string;
  readonly affected: number | null;
  readonly text: string;
}

export function recordAnswer({ alarm, occurrence, attempt, outcome, digits, commander, affected, text }: Heard): Promise<null> {
  const reply = { commander, affected, moved: null, text };
  return post('/api/v1/calls/answer', anything, { alarm, occurrence, attempt, outcome, digits, reply, request: requestId() });
}

export function readDemo(): Promise<Demo> {
  return ask('/api/v1/demo', demo);
}

export function pullCable(pulled: boolean): Promise<null> {
  return post('/api/v1/demo/cable', anything, { pulled });
}

export const DEMO_FAULTS = ['none', 'dead', 'exception', 'frozen', 'noise'] as const;
export type DemoFault = (typeof DEMO_FAULTS)[number];

export function setFault(device: string, fault: DemoFault): Promise<null> {
  return post('/api/v1/demo/fault', anything, { device, fault });
}

/** RFC 3339 in UTC. */
export function stamp(ms: number): string {
  return new Date(ms).toISOString();
}

/** A random UUID (version 4). `crypto.randomUUID` needs https and a newer kernel. */
export function requestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

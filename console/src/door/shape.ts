// The door's tools: each takes an unknown value and gives a known one, or throws a `WrongShape`
// that names the place, what was wanted and what was there.

/** A value that is not what the interface promises. */
export class WrongShape extends Error {
  constructor(
    readonly where: string,
    readonly wanted: string,
    got: unknown,
  ) {
    super(`${where}: wanted ${wanted}, got ${brief(got)}`);
    this.name = 'WrongShape';
  }
}

/** Reads an unknown value; `where` is its path for the message. */
export type Door<T> = (value: unknown, where: string) => T;

/** An object with unknown fields. */
export type Fields = Readonly<Record<string, unknown>>;

/** Longest excerpt of a wrong value in a message. */
const BRIEF_MAX = 60;

function brief(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > BRIEF_MAX ? `${text.slice(0, BRIEF_MAX)}…` : text;
}

export const text: Door<string> = (value, where) => {
  if (typeof value === 'string') return value;
  throw new WrongShape(where, 'a text', value);
};

/** A text that may be missing: `null` and nothing become the empty text. */
export const textOrEmpty: Door<string> = (value, where) =>
  value === null || value === undefined ? '' : text(value, where);

export const flag: Door<boolean> = (value, where) => {
  if (typeof value === 'boolean') return value;
  throw new WrongShape(where, 'true or false', value);
};

export const finite: Door<number> = (value, where) => {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new WrongShape(where, 'a number', value);
};

export const whole: Door<number> = (value, where) => {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw new WrongShape(where, 'a whole number', value);
};

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** An RFC 3339 time with offset, as milliseconds since the epoch. */
export const moment: Door<number> = (value, where) => {
  if (typeof value === 'string' && RFC3339.test(value)) {
    const ms = Date.parse(value);
    if (Number.isFinite(ms)) return ms;
  }
  throw new WrongShape(where, 'a time such as 2026-11-21T22:14:05+08:00', value);
};

/** A time zone that this browser knows. */
export const zone: Door<string> = (value, where) => {
  const name = text(value, where);
  try {
    new Intl.DateTimeFormat('zh-CN', { timeZone: name });
    return name;
  } catch {
    throw new WrongShape(where, 'a time zone such as Asia/Shanghai', value);
  }
};

export function oneOf<const T extends string | number>(...words: readonly T[]): Door<T> {
  return (value, where) => {
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    throw new WrongShape(where, `one of ${words.join(', ')}`, value);
  };
}

/** `null` or nothing stays `null`. */
export function orNull<T>(door: Door<T>): Door<T | null> {
  return (value, where) => (value === null || value === undefined ? null : door(value, where));
}

export function listOf<T>(door: Door<T>): Door<readonly T[]> {
  return (value, where) => list(value, where).map((item, i) => door(item, `${where}[${i}]`));
}

export function list(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value)) return value as readonly unknown[];
  throw new WrongShape(where, 'a list', value);
}

export function fields(value: unknown, where: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new WrongShape(where, 'an object', value);
}

/** One field of an object, through its door. */
export function field<T>(from: Fields, name: string, door: Door<T>, where: string): T {
  return door(from[name], `${where}.${name}`);
}

/** Text of a message or of a body, as JSON. */
export function json(body: string, where: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    throw new WrongShape(where, 'JSON', body);
  }
}

// Times, spans and numbers as they stand on the screen: 24 hours, the centre's zone, fixed places.

const clocks = new Map<string, Intl.DateTimeFormat>();

function parts(ms: number, zone: string): Readonly<Record<string, string>> {
  let clock = clocks.get(zone);
  if (clock === undefined) {
    clock = new Intl.DateTimeFormat('zh-CN', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    clocks.set(zone, clock);
  }
  const found: Record<string, string> = {};
  for (const { type, value } of clock.formatToParts(ms)) found[type] = value;
  return found;
}

function join(of: Readonly<Record<string, string>>, names: readonly string[], by: string): string {
  return names.map((name) => of[name] ?? '').join(by);
}

/** `2026-11-21` */
export function day(ms: number, zone: string): string {
  return join(parts(ms, zone), ['year', 'month', 'day'], '-');
}

/** `22:14:05` */
export function clockTime(ms: number, zone: string): string {
  return join(parts(ms, zone), ['hour', 'minute', 'second'], ':');
}

/** `22:14` */
export function hourMinute(ms: number, zone: string): string {
  return join(parts(ms, zone), ['hour', 'minute'], ':');
}

/** `2026-11-21 22:14:05` */
export function dateTime(ms: number, zone: string): string {
  return `${day(ms, zone)} ${clockTime(ms, zone)}`;
}

/** The time of day, with the date where it is not today. */
export function shortTime(ms: number, now: number, zone: string): string {
  const date = day(ms, zone);
  return date === day(now, zone) ? clockTime(ms, zone) : `${date.slice(5)} ${hourMinute(ms, zone)}`;
}

/** `00:42`, `1:02:03`, `3 d 04:05` */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value: number): string => String(value).padStart(2, '0');
  const s = two(seconds % 60);
  const m = two(Math.floor(seconds / 60) % 60);
  const hours = Math.floor(seconds / 3600);
  if (hours === 0) return `${m}:${s}`;
  if (hours < 24) return `${hours}:${m}:${s}`;
  return `${Math.floor(hours / 24)} d ${two(hours % 24)}:${m}`;
}

/** `0.8 s`, `12 s`, `03:10` */
export function age(ms: number): string {
  if (ms < 60_000) return `${Math.max(0, Math.floor(ms / 1000))} s`;
  return span(ms);
}

/** A number with as many places as its range makes useful. */
export function number(value: number, low: number | null, high: number | null): string {
  const width = low !== null && high !== null ? high - low : Math.abs(value);
  const places = width >= 1000 ? 0 : width >= 50 ? 1 : width >= 5 ? 2 : 3;
  return value.toFixed(places);
}

/** A limit as it was written. */
export function plain(value: number): string {
  return String(Number(value.toPrecision(10)));
}

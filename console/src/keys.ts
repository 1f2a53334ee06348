// Keys of the console, matched on the place of the key, not on the letter: Chinese input and other
// layouts change letters, not places.

export type Key =
  | 'search'
  | 'help'
  | 'leave'
  | 'mute'
  | 'steady'
  | 'next'
  | 'previous'
  | 'first'
  | 'last'
  | 'open'
  | 'select'
  | 'extend_next'
  | 'extend_previous'
  | 'acknowledge'
  | 'trend'
  | 'release'
  | 'shelve'
  | 'call'
  | 'go'
  | 'desk'
  | 'points';

/** What of a keyboard event matters here. */
export interface Press {
  readonly code: string;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly altKey: boolean;
  readonly metaKey: boolean;
  readonly isComposing: boolean;
}

const PLAIN: Readonly<Record<string, Key>> = {
  Slash: 'search',
  KeyM: 'mute',
  KeyF: 'steady',
  KeyJ: 'next',
  KeyK: 'previous',
  Space: 'select',
  KeyA: 'acknowledge',
  KeyT: 'trend',
  KeyN: 'release',
  KeyS: 'shelve',
  KeyC: 'call',
  KeyG: 'go',
};

/** Keys that write nothing: they stay when single-letter keys are off. */
const NAMED: Readonly<Record<string, Key>> = {
  Escape: 'leave',
  ArrowDown: 'next',
  ArrowUp: 'previous',
  Home: 'first',
  End: 'last',
  Enter: 'open',
  NumpadEnter: 'open',
};

const SHIFTED: Readonly<Record<string, Key>> = { Slash: 'help', KeyJ: 'extend_next', KeyK: 'extend_previous' };

const AFTER_GO: Readonly<Record<string, Key>> = { KeyD: 'desk', KeyP: 'points' };

/** Which letters count. */
export type Letters = 'on' | 'off';

/** The meaning of a press outside editable fields; `afterGo`: the press before was `go`. */
export function keyOf(press: Press, afterGo: boolean, letters: Letters): Key | null {
  if (press.ctrlKey || press.altKey || press.metaKey || press.isComposing) return null;
  const named = NAMED[press.code];
  if (named !== undefined) return press.shiftKey ? null : named;
  if (letters === 'off') return null;
  if (press.shiftKey) return SHIFTED[press.code] ?? null;
  if (afterGo) return AFTER_GO[press.code] ?? null;
  return PLAIN[press.code] ?? null;
}

/** True in a field that takes text or arrow keys. */
export function isEditable(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName);
}

/** True on something that answers Enter and Space itself. */
export function isPressable(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && ['BUTTON', 'A', 'SUMMARY'].includes(target.tagName);
}

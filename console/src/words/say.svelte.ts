// The language of the page. `say` is read inside markup, so a change of language redraws it.
import { speak } from '../door/api';
import { keep, kept } from '../state/keep';
import { en } from './en';
import { zh, type Key } from './zh';

export type Language = 'zh' | 'en';

const DICTIONARIES: Readonly<Record<Language, Readonly<Record<Key, string>>>> = { zh, en };
const TAGS: Readonly<Record<Language, string>> = { zh: 'zh-CN', en: 'en' };

class Tongue {
  #now = $state<Language>(kept('language') === 'en' ? 'en' : 'zh');

  get now(): Language {
    return this.#now;
  }

  set(language: Language): void {
    this.#now = language;
    keep('language', language);
    this.tellPage();
  }

  /** Screen readers and the centre's error texts follow. */
  tellPage(): void {
    document.documentElement.lang = TAGS[this.#now];
    speak(TAGS[this.#now]);
  }
}

export const tongue = new Tongue();

export function say(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  return DICTIONARIES[tongue.now][key].replace(/\{(\w+)\}/g, (hole, name: string) => String(values[name] ?? hole));
}

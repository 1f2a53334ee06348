// How this console looks and answers keys: theme, steady signs, single-letter keys.
import type { Letters } from '../keys';
import { keep, kept } from './keep';

export type Theme = 'light' | 'dark';

function firstTheme(): Theme {
  const known = kept('theme');
  if (known === 'light' || known === 'dark') return known;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

const still = matchMedia('(prefers-reduced-motion: reduce)');

class Taste {
  #still = $state(still.matches);
  #theme = $state<Theme>(firstTheme());
  #letters = $state<Letters>(kept('letters') === 'off' ? 'off' : 'on');
  #steady = $state(kept('steady') === 'yes');

  constructor() {
    // `addEventListener` on a media query is newer in some kernels than this.
    still.onchange = () => (this.#still = still.matches);
  }

  /** True where signs may flash: neither this console nor its user has asked for stillness. */
  get flashes(): boolean {
    return !this.#steady && !this.#still;
  }

  get theme(): Theme {
    return this.#theme;
  }

  setTheme(theme: Theme): void {
    this.#theme = theme;
    keep('theme', theme);
    this.tellPage();
  }

  tellPage(): void {
    document.documentElement.dataset['theme'] = this.#theme;
  }

  get letters(): Letters {
    return this.#letters;
  }

  setLetters(letters: Letters): void {
    this.#letters = letters;
    keep('letters', letters);
  }

  /** True: nothing flashes on this console. */
  get steady(): boolean {
    return this.#steady;
  }

  toggleSteady(): void {
    this.#steady = !this.#steady;
    keep('steady', this.#steady ? 'yes' : 'no');
  }
}

export const taste = new Taste();

// Small choices of this console, kept in the browser. A browser that keeps nothing is no fault.

export type Kept = 'language' | 'theme' | 'letters' | 'steady' | 'self_test';

export function kept(name: Kept): string | null {
  try {
    return localStorage.getItem(`fengsui.${name}`);
  } catch {
    return null;
  }
}

export function keep(name: Kept, value: string): void {
  try {
    localStorage.setItem(`fengsui.${name}`, value);
  } catch {
    // The choice holds until the page is left.
  }
}

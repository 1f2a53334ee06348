// Where we are. The address is the state: what another officer opens by the same address shows the
// same thing.
import { routeOf, type Route } from '../route';

class Router {
  #path = $state(location.pathname);
  #search = $state(location.search);

  get route(): Route {
    return routeOf(this.#path);
  }

  query(name: string): string | null {
    return new URLSearchParams(this.#search).get(name);
  }

  go(address: string): void {
    history.pushState(null, '', address);
    this.#read();
  }

  /** Changes a part of the query without a new step in the history; `null` removes it. */
  refine(changes: Readonly<Record<string, string | null>>): void {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === '') query.delete(name);
      else query.set(name, value);
    }
    const text = query.toString();
    const address = location.pathname + (text === '' ? '' : `?${text}`);
    if (address !== location.pathname + location.search) history.replaceState(null, '', address);
    this.#read();
  }

  /** Follows links inside the console without loading the page again. */
  listen(): () => void {
    const back = (): void => this.#read();
    const click = (event: MouseEvent): void => this.#click(event);
    addEventListener('popstate', back);
    document.addEventListener('click', click);
    return () => {
      removeEventListener('popstate', back);
      document.removeEventListener('click', click);
    };
  }

  #click(event: MouseEvent): void {
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!plain || event.defaultPrevented || !(event.target instanceof Element)) return;
    const link = event.target.closest('a');
    if (link === null || link.origin !== location.origin || link.target !== '') return;
    if (routeOf(link.pathname).kind === 'nowhere') return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }

  #read(): void {
    this.#path = location.pathname;
    this.#search = location.search;
  }
}

export const router = new Router();

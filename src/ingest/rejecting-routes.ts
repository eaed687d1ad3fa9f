/** Routes with `onInvalid: reject`: they are asked before a message is acknowledged, which costs what mapping it costs. */
import type { Message } from '../message.ts';
import { isFault, PayloadView, type RouteSet } from '../payload/index.ts';

export class RejectingRoutes {
  readonly #routes: RouteSet;

  private constructor(routes: RouteSet) {
    this.#routes = routes;
  }

  /** undefined: none of the routes rejects. */
  static of(routes: RouteSet): RejectingRoutes | undefined {
    return routes.router.routes.some(({ onInvalid }) => onInvalid === 'reject')
      ? new RejectingRoutes(routes)
      : undefined;
  }

  /** Why a route that would take the message refuses it; undefined: none does. */
  refusal(message: Message): string | undefined {
    const view = new PayloadView(message.payload);
    for (const match of this.#routes.router.match(message.topic)) {
      const { route } = match;
      const rejects = route.onInvalid === 'reject';
      if (!rejects && !route.stop) continue;
      const value = this.#routes.values[route.index];
      const applies = value?.applies(message, match, view) ?? true;
      if (applies === false) continue;
      const wrong = isFault(applies) ? applies.reason : rejects ? value?.refusal(message, match, view) : undefined;
      if (rejects && wrong !== undefined) return wrong;
      if (route.stop) return undefined;
    }
    return undefined;
  }
}

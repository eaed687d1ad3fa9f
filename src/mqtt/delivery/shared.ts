/**
 * Shared subscriptions (MQTT 5.0 §4.8.2): of the members of a group each message goes to one. Members take turns; one that is
 * connected comes before one that is not, and one that keeps up before one that does not.
 */
import type { Connection } from '../connection.ts';
import { FilterTrie } from '../filter-trie.ts';
import type { Subscription } from '../patches/internals.ts';

const SHARE = '$share/';

/** `$share/{group}/{filter}`; undefined: another filter. The guard lets no other beginning with `$share/` pass in MQTT 5. */
export function shareOf(filter: string): { readonly group: string; readonly filter: string } | undefined {
  if (!filter.startsWith(SHARE)) return undefined;
  const slash = filter.indexOf('/', SHARE.length);
  const group = filter.slice(SHARE.length, slash);
  if (slash < 0 || slash + 1 === filter.length || !/^[^+#]+$/.test(group)) return undefined;
  return { group, filter: filter.slice(slash + 1) };
}

export interface Member {
  readonly clientId: string;
  readonly subscription: Subscription;
  /** undefined: its session is in the store, and its client is not connected to this process. */
  readonly connection: Connection | undefined;
  readonly stored: boolean;
}

export class Group {
  /** As it was subscribed to: `$share/{group}/{filter}`. */
  readonly name: string;
  readonly #members = new Map<string, Member>();
  /** Whose turn it was last. */
  #last: string | undefined;

  constructor(name: string) {
    this.name = name;
  }

  get empty(): boolean {
    return this.#members.size === 0;
  }

  get(clientId: string): Member | undefined {
    return this.#members.get(clientId);
  }

  set(member: Member): void {
    this.#members.set(member.clientId, member);
  }

  delete(clientId: string): void {
    this.#members.delete(clientId);
  }

  /** The next in turn that can have the message. undefined: nobody. */
  choose(qos: number): Member | undefined {
    let [connected, stored]: (Member | undefined)[] = [];
    for (const member of this.#inTurn()) {
      const { connection } = member;
      if (connection !== undefined && !connection.ending && !connection.client.closed) {
        if (connection.outbound?.ready === true) return this.#chosen(member);
        connected ??= member;
      } else if (member.stored && qos > 0) {
        stored ??= member;
      }
    }
    return this.#chosen(connected ?? stored);
  }

  #chosen(member: Member | undefined): Member | undefined {
    this.#last = member?.clientId;
    return member;
  }

  /** All members, beginning behind the last that was chosen. */
  *#inTurn(): Iterable<Member> {
    const members = [...this.#members.values()];
    const at = members.findIndex(({ clientId }) => clientId === this.#last) + 1;
    for (let index = 0; index < members.length; index++) yield members[(at + index) % members.length] as Member;
  }
}

export class SharedGroups {
  readonly #groups = new Map<string, Group>();
  readonly #byFilter = new FilterTrie<Group, Group>();

  get size(): number {
    return this.#groups.size;
  }

  get(name: string): Group | undefined {
    return this.#groups.get(name);
  }

  matching(topic: string): Group[] {
    return this.#byFilter.match(topic);
  }

  join(name: string, member: Member): void {
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = new Group(name);
      this.#groups.set(name, group);
      this.#byFilter.set(shareOf(name)?.filter ?? name, group, group);
    }
    group.set(member);
  }

  leave(name: string, clientId: string): void {
    const group = this.#groups.get(name);
    if (group === undefined) return;
    group.delete(clientId);
    if (!group.empty) return;
    this.#groups.delete(name);
    this.#byFilter.delete(shareOf(name)?.filter ?? name, group);
  }
}

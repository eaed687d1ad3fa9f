/** What listeners are to each other and to the network around them. */
import type { SluiceConfig } from './config.ts';
import type { Path } from './shape.ts';
import type { Finding } from './tree.ts';

interface Listener {
  readonly name: keyof SluiceConfig['listeners'];
  readonly host: string;
  readonly port: number;
  /** Its clients prove who they are: by a certificate, or by a token. */
  readonly certified: boolean;
}

export function listenersOf(config: SluiceConfig): Listener[] {
  const { mqtt, mqtts, ws, wss, http } = config.listeners;
  const open = { mqtt, mqtts, ws, wss, http };
  return (Object.keys(open) as (keyof typeof open)[]).flatMap((name) => {
    const listener = open[name];
    if (listener === undefined) return [];
    const certified =
      'tokens' in listener
        ? listener.tokens.length > 0
        : 'tls' in listener && listener.tls.clientCertificate === 'required';
    return [{ name, host: listener.host, port: listener.port, certified }];
  });
}

const ways = ['users', 'jwt', 'http', 'clientCertificate'] as const;

/** Clients without a proof of who they are are refused, on every listener. */
export function hasAuthentication({ auth }: SluiceConfig): boolean {
  return ways.some((way) => auth[way] !== undefined);
}

/** Only this machine can reach it. A name counts as open: what it resolves to may change. */
export function isLoopback(host: string): boolean {
  return /^127(?:\.\d{1,3}){3}$/.test(host) || host === '::1' || host.toLowerCase() === 'localhost';
}

export function checkListeners(config: SluiceConfig, skip: (path: Path) => boolean): Finding[] {
  const listeners = listenersOf(config).filter(({ name }) => !skip(['listeners', name]));
  const findings: Finding[] = [];
  for (const [index, listener] of listeners.entries()) {
    const other = listeners.slice(0, index).find((before) => collide(before, listener));
    if (other !== undefined && !skip(['listeners', listener.name, 'port'])) {
      findings.push({
        path: ['listeners', listener.name, 'port'],
        message: `port ${listener.port} is taken by listeners.${other.name}`,
        wayOut: `give each listener a port of its own, or switch one off: ${other.name}: false`,
      });
    }
  }
  // Whoever reaches it unproven is its operator: nothing but a token opens it to others.
  for (const { name, host, certified } of listeners) {
    if (name !== 'http' || isLoopback(host) || certified) continue;
    findings.push({
      path: ['listeners', name, 'host'],
      code: 'INSECURE_LISTENER',
      message: 'other machines reach this listener, and anyone on them could publish and change what runs',
      wayOut: 'bind it to 127.0.0.1, or give it tokens: [{ name: ops, role: operator, token: "${HTTP_TOKEN}" }]',
    });
  }
  if (config.auth.allowAnonymous || skip(['auth', 'allowAnonymous'])) return findings;
  if (hasAuthentication(config) || ways.some((way) => skip(['auth', way]))) return findings;
  for (const { name, host, certified } of listeners) {
    if (name === 'http' || isLoopback(host) || certified) continue;
    const certificate =
      name === 'mqtts' || name === 'wss' ? ', ask for client certificates (clientCertificate: required with ca)' : '';
    findings.push({
      path: ['listeners', name, 'host'],
      code: 'INSECURE_LISTENER',
      message: `other machines reach this listener, and anyone on them could connect without a proof of who they are`,
      wayOut: `bind it to 127.0.0.1, or say in auth who may connect (users, jwt, http)${certificate}, or, where that is meant, set auth: { allowAnonymous: true }`,
    });
  }
  return findings;
}

function collide(a: Listener, b: Listener): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  const any = (host: string): boolean => host === '0.0.0.0' || host === '::';
  const plain = (host: string): string => (host.toLowerCase() === 'localhost' ? '127.0.0.1' : host.toLowerCase());
  return any(a.host) || any(b.host) || plain(a.host) === plain(b.host);
}

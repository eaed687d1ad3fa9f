import { z } from 'zod';
import { duration, filePath, flag, integer, matching, secret } from '../fields.ts';

const methods = ['clientCertificate', 'jwt', 'users', 'http'] as const;

const httpUrl = () => matching(/^https?:\/\/[^\s/?#]+\S*$/, 'an http(s) URL');

const authorities = filePath()
  .optional()
  .meta({ description: 'PEM file of the authorities to trust there, instead of those of the system.' });

const timeout = duration('5s', 'How long one answer may take, connecting included.', { min: '100ms', max: '1m' });

const users = filePath().optional().meta({
  description:
    'File with a line `name:hash` per user, written by `sluice passwd`. Read again when it changes; a changed or removed user is disconnected.',
});

const clientCertificate = z
  .strictObject({
    identity: z.enum(['cn', 'dns', 'uri', 'email', 'fingerprint']).default('cn').meta({
      description:
        'What of the certificate is the user: the common name, the DNS name, URI or e-mail address of the subject alternative name, or the SHA-256 fingerprint (lower case hexadecimal digits). It must be there exactly once.',
    }),
  })
  .optional()
  .meta({
    description:
      'Client certificates, on listeners with `tls.clientCertificate: optional` or `required`. Those listeners take them without this section too, by the common name.',
  });

const symmetric = ['HS256', 'HS384', 'HS512'] as const;
const asymmetric = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;

const jwt = z
  .strictObject({
    secret: secret('a text of at least 32 bytes')
      .min(32)
      .optional()
      .meta({ description: 'Secret for HS256, HS384 and HS512. Better `${JWT_SECRET}` than the word itself.' }),
    keyFile: filePath()
      .optional()
      .meta({ description: 'Public keys: a JWKS, or keys and certificates in PEM. Read again when it changes.' }),
    jwks: httpUrl().optional().meta({
      description: 'URL of a JWKS: fetched when first needed, after `jwksMaxAge`, and for a key that is not known.',
    }),
    jwksMaxAge: duration('10m', 'How old keys of `jwks` may be before they are fetched again.', {
      min: '1s',
      max: '1d',
    }),
    jwksCooldown: duration('30s', 'Least time between two fetches of `jwks`, whatever key ids clients bring.', {
      min: '100ms',
      max: '1h',
    }),
    ca: authorities,
    timeout,
    algorithms: z
      .array(z.enum([...symmetric, ...asymmetric]))
      .min(1)
      .optional()
      .meta({ description: 'Signatures that are accepted. Default: all that the kind of key allows.' }),
    issuer: z.string().min(1).optional().meta({ description: 'What the claim `iss` must be.' }),
    audience: z.string().min(1).optional().meta({ description: 'What the claim `aud` must be, or hold.' }),
    clockTolerance: duration('5s', 'How far clocks may be apart when `exp` and `nbf` are checked.', {
      min: '0s',
      max: '10m',
    }),
    user: z.string().min(1).default('sub').meta({ description: 'The claim that is the user.' }),
  })
  .check((context) => {
    const { secret: hmac, keyFile, jwks, algorithms = [] } = context.value;
    const sources = [hmac, keyFile, jwks].filter((source) => source !== undefined).length;
    const issue = (path: string[], message: string, wayOut: string): void => {
      context.issues.push({ code: 'custom', path, input: undefined, message, params: { wayOut } });
    };
    if (sources !== 1) {
      issue([], 'needs one of secret, keyFile and jwks', 'say where the keys come from, in one way');
      return;
    }
    const possible: readonly string[] = hmac === undefined ? asymmetric : symmetric;
    const odd = algorithms.find((name) => !possible.includes(name));
    if (odd !== undefined)
      issue(['algorithms'], `${odd} does not go with the kind of key`, `take some of ${possible.join(', ')}`);
  })
  .optional()
  .meta({
    description:
      'JSON Web Tokens, given as the password. `exp` is required; the connection ends when the token expires (MQTT 5: DISCONNECT 0xA0).',
  });

const http = z
  .strictObject({
    url: httpUrl().meta({
      description:
        'Asked with POST and JSON for each CONNECT; it answers `{ "result": "allow" }`, `deny` or `ignore`. See docs/security.md.',
    }),
    token: secret('a token').optional().meta({ description: 'Sent as `Authorization: Bearer`.' }),
    ca: authorities,
    timeout,
    concurrency: integer(16, 'Questions at the same time.', 1, 1_000),
    cacheTtl: duration('1m', 'How long an `allow` is believed for the same client id, user and password.', {
      min: '0s',
      max: '1d',
    }),
  })
  .optional()
  .meta({ description: 'A service of your own that decides. Where it fails, or does not answer, nobody gets in.' });

export const auth = z
  .strictObject({
    order: z
      .array(z.enum(methods))
      .min(1)
      .default([...methods])
      .meta({
        description:
          'In which order the ways below are asked. The first that accepts or refuses decides; one that a CONNECT carries nothing for is passed over.',
      }),
    users,
    clientCertificate,
    jwt,
    http,
    clientId: matching(
      /^(?:[^{}]|\{(?:user|(?:cert|jwt|http)\.[^{}\s]+)\})+$/,
      'a template of text, `*`, {user}, {cert.cn}, {jwt.claim}, {http.name}',
    )
      .optional()
      .meta({
        description:
          'Client ids that a client may use: a template in which `{user}`, `{cert.cn}`, `{jwt.claim}` stand for what is proven and `*` for any text, such as `{user}` or `{user}-*`. Without it any.',
      }),
    failures: z
      .strictObject({
        perAddress: integer(60, 'Failed attempts of one address (IPv6: one /64). 0: no limit.', 0, 1_000_000),
        window: duration('1m', 'The time in which it may fail so often.', { min: '1s', max: '1d' }),
      })
      .prefault({})
      .meta({
        description: 'Guessing. Beyond it, what needs a check is refused (MQTT 5: 0x8A) until the window is over.',
      }),
    allowAnonymous: flag(
      false,
      'Accept clients that bring no proof of who they are. Without it, and with one of the ways above, they are refused on every listener; with none of them, a listener that other machines reach refuses to start.',
    ),
  })
  .check((context) => {
    const { order, ...value } = context.value;
    const missing = methods.find((name) => value[name] !== undefined && !order.includes(name));
    const issue = (message: string, wayOut: string): void => {
      context.issues.push({ code: 'custom', path: ['order'], input: order, message, params: { wayOut } });
    };
    if (missing !== undefined) issue(`leaves out ${missing}, which is configured`, `add ${missing} where it belongs`);
    else if (new Set(order).size < order.length) issue('names one way twice', 'name each once');
  })
  .prefault({})
  .meta({ description: 'Who may connect.' });

/** Tokens for SASL OAUTHBEARER by OAuth 2's client credentials grant (RFC 6749 §4.4). */

export interface ClientCredentialsOptions {
  readonly tokenEndpoint: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope?: string | undefined;
  readonly timeoutMs?: number | undefined;
  /** Milliseconds since the epoch; Date.now by default. */
  readonly now?: (() => number) | undefined;
}

interface Token {
  readonly value: string;
  readonly renewAt: number;
}

const TIMEOUT_MS = 10_000;
/** A token is asked for anew when this part of its life is over, so that none expires on its way. */
const LIFE_USED = 0.8;
/** RFC 6749 §5.1 only recommends expires_in. */
const LIFE_UNKNOWN_S = 60;

/** A provider of tokens: one is kept as long as it is good, and asked for once however many wait for it. */
export function clientCredentials(options: ClientCredentialsOptions): () => Promise<string> {
  const now = options.now ?? Date.now;
  let token: Token | undefined;
  let asking: Promise<Token> | undefined;
  return async () => {
    if (token === undefined || now() >= token.renewAt) {
      asking ??= askForToken(options, now).finally(() => (asking = undefined));
      token = await asking;
    }
    return token.value;
  };
}

async function askForToken(options: ClientCredentialsOptions, now: () => number): Promise<Token> {
  const { tokenEndpoint, clientId, clientSecret, scope } = options;
  const body = new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) });
  // RFC 6749 §2.3.1: both are form-encoded before they become Basic credentials.
  const credentials = `${formEncoded(clientId)}:${formEncoded(clientSecret)}`;
  const askedAt = now();
  const response = await fetch(tokenEndpoint, {
    method: 'POST',
    body,
    headers: { accept: 'application/json', authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
    redirect: 'error',
    signal: AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS),
  }).catch((error: unknown) => {
    throw new Error(`the token endpoint ${tokenEndpoint} cannot be reached`, { cause: error });
  });
  const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  const { access_token: value, expires_in: expiresIn, error } = answer;
  if (!response.ok || typeof value !== 'string') {
    const why = typeof error === 'string' ? `: ${error}` : '';
    throw new Error(`the token endpoint ${tokenEndpoint} gave no token (HTTP ${response.status}${why})`);
  }
  const lifeS = Number(expiresIn) > 0 ? Number(expiresIn) : LIFE_UNKNOWN_S;
  return { value, renewAt: askedAt + lifeS * 1_000 * LIFE_USED };
}

function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}

/** Requests to the sluice that this page came from. */

/** Kept as long as the tab: whoever opens the page anew is asked again. */
const TOKEN_KEY = 'sluice-token';
const TIMEOUT_MS = 10_000;

export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const token = {
  get: (): string => sessionStorage.getItem(TOKEN_KEY) ?? '',
  set: (value: string): void => sessionStorage.setItem(TOKEN_KEY, value),
};

/** @throws ApiError with what sluice says; status 0: it does not answer */
export async function ask<Answer>(path: string, body?: unknown): Promise<Answer> {
  const headers: Record<string, string> = {};
  if (token.get() !== '') headers['authorization'] = `Bearer ${token.get()}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch(`api/v1/${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, 'sluice does not answer');
  }
  const answer = (await response.json().catch(() => undefined)) as
    (Answer & { readonly error?: { readonly message: string; readonly hint?: string } }) | undefined;
  if (response.ok && answer !== undefined) return answer;
  const { message = response.statusText, hint } = answer?.error ?? {};
  throw new ApiError(response.status, hint === undefined ? message : `${message}. ${hint}`);
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

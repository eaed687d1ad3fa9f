/** The dashboard at `/`: a page and its parts, held in memory as they were built. It asks nobody but the sluice it came from. */
import type { FastifyInstance } from 'fastify';
import { existsSync, readFileSync } from 'node:fs';

/** Beside the built form of this file. In the sources there is none: the build makes it of dashboard/. */
const directory = new URL('./dashboard/', import.meta.url);

const files = [
  { path: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { path: '/dashboard.js', file: 'dashboard.js', type: 'text/javascript; charset=utf-8' },
  { path: '/dashboard.css', file: 'dashboard.css', type: 'text/css; charset=utf-8' },
  { path: '/icon.svg', file: 'icon.svg', type: 'image/svg+xml' },
] as const;

/** Scripts, styles, requests and WebSockets of this origin, and nothing else; in no frame of another page. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export function dashboardRoutes(app: FastifyInstance): void {
  if (!existsSync(directory)) return;
  for (const { path, file, type } of files) {
    const content = readFileSync(new URL(file, directory));
    app.get(
      path,
      {
        // The page holds nothing: what it shows it asks for, with the token that it is given.
        config: { role: 'none' },
        schema: { tags: ['dashboard'], summary: `The dashboard: ${file}`, produces: [type] },
      },
      (_request, reply) =>
        reply
          .headers({
            'content-security-policy': policy,
            'x-content-type-options': 'nosniff',
            'referrer-policy': 'no-referrer',
            'cache-control': 'no-cache',
          })
          .type(type)
          .send(content),
    );
  }
}

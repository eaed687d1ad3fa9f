import { z } from 'zod';
import { fault, filePath, integer, matching } from '../fields.ts';

const host = matching(/^[^\s/:]+$|^[0-9A-Fa-f:.%]+$/, 'an address or host name without a port')
  .default('127.0.0.1')
  .meta({ description: 'Address to bind. `127.0.0.1`: this machine only; `0.0.0.0`, `::`: every network.' });

const port = (standard: number) => integer(standard, 'TCP port. 0 lets the system choose a free one.', 0, 65_535);

const tls = z
  .strictObject({
    cert: filePath().meta({ description: 'PEM file of the server certificate, its chain included.' }),
    key: filePath().meta({ description: 'PEM file of the private key.' }),
    ca: filePath().optional().meta({ description: 'PEM file of the authorities that sign client certificates.' }),
    crl: filePath().optional().meta({
      description:
        'PEM file of revocation lists, one for each authority. Beside `ca`. Connected clients that it names are disconnected.',
    }),
    clientCertificate: z.enum(['none', 'optional', 'required']).default('none').meta({
      description: 'Whether clients present a certificate signed by `ca`. `required` counts as authentication.',
    }),
    // YAML reads 1.2 as a number: both spellings are taken.
    minVersion: z
      .union([z.enum(['1.2', '1.3']), z.literal(1.2), z.literal(1.3)])
      .transform((version) => (version === '1.3' || version === 1.3 ? '1.3' : '1.2'))
      .prefault('1.2')
      .meta({ description: 'Oldest TLS version that is accepted.', patternErrorMessage: '1.2 or 1.3' }),
  })
  .check((context) => {
    if (context.value.crl !== undefined && context.value.ca === undefined) {
      context.issues.push({
        code: 'custom',
        path: ['crl'],
        input: context.value.crl,
        message: 'needs `ca` beside it: the authorities whose certificates it revokes',
        params: { wayOut: 'add ca: with the PEM file of those authorities, or leave out crl' },
      });
    }
    if (context.value.clientCertificate !== 'none' && context.value.ca === undefined) {
      context.issues.push({
        code: 'custom',
        path: ['clientCertificate'],
        input: context.value.clientCertificate,
        message: 'needs `ca` beside it: the authorities whose client certificates count',
        params: { wayOut: 'add ca: with the PEM file of that authority, or set clientCertificate: none' },
      });
    }
  })
  .meta({ description: 'Certificate of the listener. Files are read again when they change.' });

const path = matching(/^\/[^\s?#]*$/, 'a URL path such as /mqtt')
  .default('/mqtt')
  .meta({ description: 'URL path of the WebSocket endpoint.' });

const origins = z
  .array(
    matching(
      /^\*$|^https?:\/\/[^\s/?#]+$/,
      'an origin, scheme://host[:port] without a path, such as https://app.example.com, or "*"',
    ),
  )
  .default([])
  .meta({
    description:
      'Web pages that may connect, as origins (scheme://host[:port]); `"*"`: any. Clients that send no Origin, as those outside browsers do, always may.',
  });

const tokens = z
  .array(
    z
      .strictObject({
        name: matching(/^[\w.@-]{1,64}$/, 'a name of letters, digits and . _ - @').meta({
          description: 'Who holds it: in the log, and the user of what is published with it.',
        }),
        role: z.enum(['viewer', 'operator']).meta({
          description: '`viewer`: look at everything. `operator`: also publish, and change what runs.',
        }),
        token: z
          .string()
          .regex(/^\S{16,512}$/)
          .optional()
          .meta({
            writeOnly: true,
            patternErrorMessage:
              'a token of 16 to 512 characters without spaces, such as `openssl rand -base64 24` makes',
            description: 'The token. Better `${HTTP_TOKEN}` than the word itself.',
          }),
        file: filePath().optional().meta({ description: 'File that holds the token, instead of `token`.' }),
      })
      .check((context) => {
        const { token, file } = context.value;
        if ((token === undefined) !== (file === undefined)) return;
        context.issues.push({
          code: 'custom',
          path: token === undefined ? [] : ['file'],
          input: undefined,
          message: 'needs either `token` or `file`',
          params: { wayOut: 'write token: "${NAME_OF_A_VARIABLE}", or file: with the path of a file that holds it' },
        });
      }),
  )
  .max(100)
  .default([])
  .meta({
    description:
      'Tokens that callers send (`Authorization: Bearer …`), each with a role. Without any, only this machine is served, with every right.',
  });

const httpTls = z
  .strictObject({
    cert: filePath().meta({ description: 'PEM file of the server certificate, its chain included.' }),
    key: filePath().meta({ description: 'PEM file of the private key.' }),
  })
  .optional()
  .meta({ description: 'HTTPS instead of HTTP.' });

/** A listener is off when it is false, or a key without a value. */
function listener<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z
    .union([z.literal(false), z.null(), z.strictObject(shape)])
    .transform((value) => (value === false || value === null ? undefined : value));
}

export const listeners = z
  .strictObject({
    mqtt: listener({ port: port(1883), host })
      .prefault({})
      .meta({ description: 'MQTT over TCP. On unless `false`.' }),
    mqtts: listener({ port: port(8883), host, tls })
      .prefault(false)
      .meta({ description: 'MQTT over TLS. Off unless given.' }),
    ws: listener({ port: port(8083), host, path, origins })
      .prefault({})
      .meta({ description: 'MQTT over WebSocket. On unless `false`.' }),
    wss: listener({ port: port(8084), host, path, origins, tls })
      .prefault(false)
      .meta({ description: 'MQTT over WebSocket with TLS. Off unless given.' }),
    http: listener({ port: port(8080), host, tls: httpTls, tokens })
      .prefault(false)
      .meta({ description: 'Health, metrics, API and publishing over HTTP. Off unless given.' }),
  })
  .check((context) => {
    if (Object.values(context.value).every((value) => value === undefined)) {
      fault(
        { addIssue: (issue) => context.issues.push({ ...issue, input: context.value }) },
        'every listener is off',
        'leave one of mqtt, mqtts, ws, wss, http on',
      );
    }
  })
  .prefault({})
  .meta({ description: 'Where devices connect.' });

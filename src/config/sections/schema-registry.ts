import { z } from 'zod';
import { duration, filePath, flag, matching, secret } from '../fields.ts';

export const schemaRegistry = z
  .strictObject({
    url: matching(/^https?:\/\/[^\s/@?#]+(?:\/[^\s@?#]*)?$/, 'an http(s) URL without user and password').meta({
      description: "Confluent's API, such as `http://localhost:8081`, or `…/apis/ccompat/v7` of Apicurio.",
    }),
    username: z.string().min(1).optional().meta({ description: 'User of HTTP basic authentication.' }),
    password: secret('the password')
      .optional()
      .meta({ description: 'Its password. Better `${REGISTRY_PASSWORD}` than the word itself.' }),
    passwordFile: filePath()
      .optional()
      .meta({ description: 'File with the password, in place of `password`. Read at every request.' }),
    timeout: duration('5s', 'How long the registry may take to answer.', { min: '100ms', max: '2m' }),
    refresh: duration('5m', 'How often a route with `version: latest` looks for a newer one.', {
      min: '1s',
      max: '7d',
    }),
    retryMax: duration('30s', 'How far apart questions become while there is no answer, at most.', {
      min: '100ms',
      max: '1h',
    }),
    autoRegister: flag(false, 'Register the schemas of `registry.file` where the registry does not have them.'),
  })
  .check((context) => {
    const { username, password, passwordFile } = context.value;
    const at = (key: string, message: string, wayOut: string): void => {
      context.issues.push({ code: 'custom', path: [key], input: undefined, message, params: { wayOut } });
    };
    if (password !== undefined && passwordFile !== undefined) {
      at('passwordFile', 'stands beside password', 'leave one of the two out');
    } else if (username !== undefined && password === undefined && passwordFile === undefined) {
      at('username', 'needs a password', 'add password: or passwordFile:');
    } else if (username === undefined && (password ?? passwordFile) !== undefined) {
      at(password === undefined ? 'passwordFile' : 'password', 'needs `username` beside it', 'add username:');
    }
  })
  .optional()
  .meta({ description: 'Schema registry for `value: avro`, `protobuf` and `jsonSchema`.' });

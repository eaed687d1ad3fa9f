// `node --import` this file to run TypeScript on Node 20: the sources need nothing but their types taken away.
import { register } from 'node:module';

register('./hooks.mjs', import.meta.url);

/** Python with the packages that a test needs, installed once per user. */
import { execFile } from 'node:child_process';
import { access, mkdtemp, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { cacheDirectory } from '../../scripts/services/index.mjs';

const run = promisify(execFile);
const INSTALL_TIMEOUT_MS = 240_000;

/** Confluent's own client for Python: what it reads, others read. */
const PACKAGES = ['confluent-kafka[avro,json,protobuf,schemaregistry]==2.16.1', 'grpcio-tools==1.85.1'];
const NAME = 'python-confluent-2';

/** A directory for PYTHONPATH. */
export async function confluentPython(): Promise<string> {
  const home = path.join(cacheDirectory(), NAME);
  const there = await access(home).then(
    () => true,
    () => false,
  );
  if (there) return home;
  const unfinished = await mkdtemp(`${home}.part-`);
  try {
    await run('python3', ['-m', 'pip', 'install', '-q', '--target', unfinished, ...PACKAGES], {
      timeout: INSTALL_TIMEOUT_MS,
    });
    await rename(unfinished, home);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return home;
}

export interface Deserialize {
  readonly registry: string;
  readonly type: 'AVRO' | 'PROTOBUF' | 'JSON';
  readonly values: readonly Buffer[];
  /** Protobuf: the file, and the message in it. */
  readonly proto?: string;
  readonly message?: string;
}

/** What Confluent's deserializers make of record values; `{ error }` for one that they cannot read. */
export async function deserialize(request: Deserialize): Promise<unknown[]> {
  const home = await confluentPython();
  const input = JSON.stringify({ ...request, values: request.values.map((value) => value.toString('base64')) });
  const script = path.join(import.meta.dirname, 'deserialize.py');
  const child = run('python3', [script], { env: { ...process.env, PYTHONPATH: home }, maxBuffer: 1 << 28 });
  child.child.stdin?.end(input);
  return JSON.parse((await child).stdout) as unknown[];
}

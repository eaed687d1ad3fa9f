import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { serviceProcess } from './child.mjs';
import { cacheDirectory, makeRunDirectory, withLock } from './directories.mjs';
import { FAST_START, java, PLUGIN } from './kafka-libraries.mjs';
import { freePort } from './ports.mjs';

/** A Schema Registry with Confluent's API: Apicurio, in memory. */
const VERSION = '2.6.13.Final';
const ARTIFACT = `io.apicurio:apicurio-registry-app:${VERSION}:tar.gz:all`;
const DOWNLOAD_TIMEOUT_MS = 480_000;
const READY_TIMEOUT_MS = 1_000;

const run = promisify(execFile);

const exists = (file) =>
  access(file).then(
    () => true,
    () => false,
  );

async function download(home, say) {
  say(`downloading Apicurio Registry ${VERSION} from Maven Central (142 MB, once per user) to ${home}`);
  const unfinished = await mkdtemp(`${home}.part-`);
  try {
    await writeFile(
      path.join(unfinished, 'pom.xml'),
      '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>' +
        '<groupId>sluice</groupId><artifactId>registry-for-tests</artifactId><version>1</version><packaging>pom</packaging></project>\n',
    );
    const maven = ['-q', '-B', '-C', `${PLUGIN}:copy`, `-Dartifact=${ARTIFACT}`, '-DoutputDirectory=.'];
    const once = () => run('mvn', maven, { cwd: unfinished, timeout: DOWNLOAD_TIMEOUT_MS });
    await once().catch(() => once());
    const archive = `apicurio-registry-app-${VERSION}-all.tar.gz`;
    await run('tar', ['xzf', archive], { cwd: unfinished });
    await rm(path.join(unfinished, archive));
    await rename(unfinished, home);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw new Error(`Apicurio Registry could not be fetched with Maven: ${error.message}`, { cause: error });
  }
}

async function registryHome(say) {
  const cache = cacheDirectory();
  const home = path.join(cache, `apicurio-${VERSION}`);
  if (await exists(home)) return home;
  await mkdir(cache, { recursive: true });
  await withLock(path.join(cache, 'apicurio.lock'), async () => {
    if (!(await exists(home))) await download(home, say);
  });
  return home;
}

/** A Schema Registry of the test's own, empty, in about 4 s. See index.d.mts for the handle. */
export async function startRegistry({ say = () => {} } = {}) {
  const home = await registryHome(say);
  const dir = await makeRunDirectory('registry');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/apis/ccompat/v7`;
  const service = serviceProcess({
    name: 'Apicurio Registry',
    command: java(),
    args: [
      ...FAST_START,
      '-Xmx256m',
      '-Dquarkus.http.host=127.0.0.1',
      `-Dquarkus.http.port=${port}`,
      '-jar',
      path.join(home, `apicurio-registry-app-${VERSION}-runner.jar`),
    ],
    cwd: dir,
    logFile: path.join(dir, 'registry.log'),
    isReady: () =>
      fetch(`${url}/subjects`, { signal: AbortSignal.timeout(READY_TIMEOUT_MS) }).then(
        (response) => response.ok,
        () => false,
      ),
  });
  await service.start();
  return Object.assign(service, { url, port, dir, logFile: path.join(dir, 'registry.log') });
}

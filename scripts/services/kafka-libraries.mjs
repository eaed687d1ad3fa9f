import { execFile } from 'node:child_process';
import { access, cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { cacheDirectory, withLock } from './directories.mjs';

export const KAFKA_VERSION = '4.1.1';
/** kafka-clients logs through SLF4J 1.7, for which this is Log4j's binding. */
const LOG4J_VERSION = '2.25.3';
export const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';
const DOWNLOAD_TIMEOUT_MS = 480_000;

const run = promisify(execFile);

const POM = `<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sluice</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>${LOG4J_VERSION}</version></dependency>
  </dependencies>
</project>
`;

const LOGGING = `status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %-5p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server
logger.server.level = info
logger.controller.name = org.apache.kafka.controller
logger.controller.level = info
`;

export const java = () => (process.env.JAVA_HOME ? path.join(process.env.JAVA_HOME, 'bin', 'java') : 'java');

const exists = (file) =>
  access(file).then(
    () => true,
    () => false,
  );

/** Options that make a short-lived JVM start in a second and a half instead of two and a half. */
export const FAST_START = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

/** The first two lines of every node's storage: `kafka-storage format`, without a JVM of its own for each start. */
async function makeBootstrapCheckpoint(home) {
  const directory = await mkdtemp(path.join(home, 'format-'));
  const properties = path.join(directory, 'server.properties');
  await writeFile(
    properties,
    [
      'process.roles=broker,controller',
      'node.id=1',
      'controller.quorum.voters=1@127.0.0.1:9093',
      'listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093',
      'controller.listener.names=CONTROLLER',
      `log.dirs=${directory}/data`,
      '',
    ].join('\n'),
  );
  const format = ['kafka.tools.StorageTool', 'format', '-t', 'AAAAAAAAQAAAAAAAAAAAAA', '-c', properties];
  await run(java(), [...FAST_START, '-cp', `${home}/libs/*`, ...format]);
  await cp(path.join(directory, 'data', 'bootstrap.checkpoint'), path.join(home, 'bootstrap.checkpoint'));
  await rm(directory, { recursive: true });
}

async function download(home, say) {
  say(`downloading Apache Kafka ${KAFKA_VERSION} from Maven Central (54 MB, once per user) to ${home}`);
  await mkdir(path.dirname(home), { recursive: true });
  const unfinished = await mkdtemp(`${home}.part-`);
  try {
    await writeFile(path.join(unfinished, 'pom.xml'), POM);
    await writeFile(path.join(unfinished, 'log4j2.properties'), LOGGING);
    const maven = ['-q', '-B', '-C', '-Dstyle.color=never', `${PLUGIN}:copy-dependencies`, '-DoutputDirectory=libs'];
    const once = () => run('mvn', maven, { cwd: unfinished, timeout: DOWNLOAD_TIMEOUT_MS });
    await once().catch(() => {
      say('the download was interrupted; trying once more');
      return once();
    });
    await makeBootstrapCheckpoint(unfinished);
    // Complete or not there: what is found under the final name can be used.
    await rename(unfinished, home);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    // Maven says what is wrong first, and then for long how to ask it again.
    const said = `${error.stdout ?? ''}${error.stderr ?? ''}`.split('\n').filter((line) => line.includes('[ERROR]'));
    throw new Error(
      `Apache Kafka could not be fetched with Maven: ${said[0]?.replace(/^.*\[ERROR\] /, '') ?? error.message}`,
      { cause: error },
    );
  }
}

/** The directory with Kafka's `libs`, `log4j2.properties` and `bootstrap.checkpoint`; fetched when it is not there. */
export async function kafkaHome(say = () => {}) {
  const cache = cacheDirectory();
  const home = path.join(cache, `kafka-${KAFKA_VERSION}-1`);
  if (await exists(home)) return home;
  await withLock(path.join(cache, 'kafka.lock'), async () => {
    if (!(await exists(home))) await download(home, say);
  });
  return home;
}

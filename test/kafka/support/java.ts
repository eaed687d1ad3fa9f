import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { cacheDirectory } from '../../../scripts/services/index.mjs';

const java = process.env['JAVA_HOME'] ? path.join(process.env['JAVA_HOME'], 'bin', 'java') : 'java';

/** Runs one of Kafka's own tools and gives what it prints. */
export async function kafkaTool(main: string, args: readonly string[], input = ''): Promise<string> {
  const [kafka] = (await readdir(cacheDirectory())).filter((name) => /^kafka-[\d.]+-\d+$/.test(name));
  if (kafka === undefined) throw new Error('no Kafka libraries: start a Kafka first');
  const libraries = path.join(cacheDirectory(), kafka, 'libs', '*');
  const quick = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx256m', '-Dfile.encoding=UTF-8'];
  const tool = spawn(java, [...quick, '-cp', libraries, main, ...args], { stdio: 'pipe' });
  let [printed, said] = ['', ''];
  tool.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  tool.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  tool.stdin.end(input);
  return new Promise((resolve, reject) => {
    tool.once('error', reject);
    tool.once('close', (code) => {
      if (code === 0) resolve(printed);
      else reject(new Error(`${main} ended with ${code}: ${said}`));
    });
  });
}

export const CONSOLE_CONSUMER = 'org.apache.kafka.tools.consumer.ConsoleConsumer';
export const CONSOLE_PRODUCER = 'org.apache.kafka.tools.ConsoleProducer';

/** Prometheus' text format, read strictly enough to notice what a scraper would refuse. */

export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: Map<string, number>;
}

/** By name of the metric; samples by their labels as written, e.g. `{qos="1"}`, '' without; `_bucket` etc. with their suffix. */
export function parseMetrics(text: string): Map<string, Family> {
  const families = new Map<string, { type: string; help: string; samples: Map<string, number> }>();
  let family: { type: string; help: string; samples: Map<string, number> } | undefined;
  let name = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const help = /^# HELP (\S+) (.+)$/.exec(line);
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    const sample = /^([a-zA-Z_:][\w:]*)(\{[^}]*\})? (-?[\d.e+-]+|\+Inf|NaN)$/.exec(line);
    if (help !== null) {
      name = help[1]!;
      if (families.has(name)) throw new Error(`${name} is there twice`);
      family = { type: '', help: help[2]!, samples: new Map() };
      families.set(name, family);
    } else if (type !== null) {
      if (family === undefined || type[1] !== name) throw new Error(`TYPE without its HELP: ${line}`);
      family.type = type[2]!;
    } else if (sample !== null) {
      if (family === undefined || !sample[1]!.startsWith(name)) throw new Error(`a sample of nothing: ${line}`);
      const key = sample[1]!.slice(name.length) + (sample[2] ?? '');
      if (family.samples.has(key)) throw new Error(`twice: ${line}`);
      family.samples.set(key, Number(sample[3]));
    } else {
      throw new Error(`not Prometheus' text format: ${line}`);
    }
  }
  return families;
}

/** One sample's value; throws where there is none. */
export function metric(families: ReadonlyMap<string, Family>, name: string, labels = ''): number {
  const value = families.get(name)?.samples.get(labels);
  if (value === undefined) throw new Error(`no ${name}${labels}`);
  return value;
}

/** Numbers and times for eyes. */

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export function count(value: number): string {
  return whole.format(value);
}

/** Per second: two digits of a small one, none of a large one. */
export function rate(value: number | undefined): string {
  if (value === undefined) return '–';
  return value > 0 && value < 10 ? value.toFixed(1) : whole.format(value);
}

export function bytes(value: number): string {
  let size = value;
  for (const unit of ['B', 'KB', 'MB', 'GB']) {
    if (size < 1024) return `${unit === 'B' ? size : size.toFixed(size < 10 ? 1 : 0)} ${unit}`;
    size /= 1024;
  }
  return `${size.toFixed(1)} TB`;
}

/** Of a latency: 0.8 ms, 42 ms, 1.3 s, 5 min. */
export function latency(seconds: number | undefined): string {
  if (seconds === undefined) return '–';
  if (seconds < 0.01) return `${(seconds * 1e3).toFixed(1)} ms`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(0)} ms`;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : duration(seconds * 1e3);
}

/** 42 s, 3 min, 2 h 10 min, 3 d. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3_600), Math.floor(seconds / 86_400)];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

export function clock(at: number | string): string {
  return new Date(at).toLocaleTimeString('en-GB');
}

/** As JSON with indents where it is some, else as it is. */
export function pretty(text: string): string {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export function plural(amount: number, what: string): string {
  return `${count(amount)} ${what}${amount === 1 ? '' : 's'}`;
}

/** MQTT 4.7 read word for word, with no thought of speed: the reference. */
export function obviouslyMatches(filter: string, topic: string): boolean {
  const f = filter.split('/').map((level) => (/^\{.*\}$/.test(level) ? '+' : level));
  const t = topic.split('/');
  if (topic[0] === '$' && (f[0] === '+' || f[0] === '#')) return false;
  const walk = (i: number, j: number): boolean => {
    if (i === f.length) return j === t.length;
    if (f[i] === '#') return true;
    if (j === t.length) return false;
    return (f[i] === '+' || f[i] === t[j]) && walk(i + 1, j + 1);
  };
  return walk(0, 0);
}

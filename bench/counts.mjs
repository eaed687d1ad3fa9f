/** Whether what went in came out. Pure: a test alters a count and sees it fail. */

const MOST_SHOWN = 5;

/**
 * @param {{ published: number, acknowledged: number, acknowledgedBy: number[], faults: string[] }} sent
 * @param {{ records: number, distinctBy: number[], duplicates: number, missing: number, reordered: number,
 *   faults: string[] } | undefined} received undefined where nothing is consumed
 * @returns {string[]} what does not agree; empty when everything does
 */
export function checkCounts(sent, received) {
  const wrong = [...sent.faults];
  if (sent.acknowledged === 0) wrong.push('nothing was acknowledged');
  if (sent.published !== sent.acknowledged) {
    wrong.push(`published ${sent.published}, acknowledged ${sent.acknowledged}`);
  }
  const total = sent.acknowledgedBy.reduce((sum, count) => sum + count, 0);
  if (total !== sent.acknowledged) wrong.push(`publishers count ${total} acknowledged, together ${sent.acknowledged}`);
  if (received === undefined) return wrong;

  wrong.push(...received.faults);
  const apart = sent.acknowledgedBy
    .map((acknowledged, publisher) => ({ publisher, acknowledged, inKafka: received.distinctBy[publisher] ?? 0 }))
    .filter(({ acknowledged, inKafka }) => acknowledged !== inKafka);
  for (const { publisher, acknowledged, inKafka } of apart.slice(0, MOST_SHOWN)) {
    wrong.push(`publisher ${publisher}: acknowledged ${acknowledged}, in Kafka ${inKafka}`);
  }
  if (apart.length > MOST_SHOWN) wrong.push(`and ${apart.length - MOST_SHOWN} more publishers`);
  for (const kind of /** @type {const} */ (['duplicates', 'missing', 'reordered'])) {
    if (received[kind] > 0) wrong.push(`${received[kind]} ${kind} in Kafka`);
  }
  return wrong;
}

/**
 * sluice's own books, once everything has drained, against what the publishers saw.
 *
 * @param {number} acknowledged
 * @param {{ accepted: number, delivered: number, taken: number | undefined } | undefined} ledger `taken`: records that a
 *   sink which drops has counted; undefined with Kafka
 */
export function checkLedger(acknowledged, ledger) {
  if (ledger === undefined) return [];
  const { accepted, delivered, taken = delivered } = ledger;
  const wrong = [];
  if (accepted !== acknowledged) wrong.push(`acknowledged ${acknowledged}, accepted by the ledger ${accepted}`);
  if (delivered !== accepted) wrong.push(`the ledger: accepted ${accepted}, delivered ${delivered}`);
  if (taken !== delivered) wrong.push(`the ledger: delivered ${delivered}, taken by the sink ${taken}`);
  return wrong;
}

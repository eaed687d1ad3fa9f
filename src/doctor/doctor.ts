/** Looks at everything that sluice rests on, without starting it. */
import type { SluiceConfig } from '../config/config.ts';
import { askAdmin } from '../http/admin.ts';
import type { SluiceStatus } from '../status.ts';
import { bufferFindings } from './buffer.ts';
import { certificateFindings } from './certificates.ts';
import type { Finding } from './finding.ts';
import { kafkaFindings } from './kafka.ts';
import { clockFinding, descriptorFinding, nodeFinding } from './machine.ts';
import { portFindings } from './ports.ts';

export type { Finding } from './finding.ts';

export interface DoctorOptions {
  /** What clients write to get here, for the certificates. */
  readonly name?: string | undefined;
}

export async function examine(config: SluiceConfig, { name }: DoctorOptions = {}): Promise<Finding[]> {
  const running = (await askAdmin(config.buffer.path, '/api/v1/status').catch(() => undefined)) as
    SluiceStatus | undefined;
  const findings = await Promise.all([
    descriptorFinding(config.limits),
    clockFinding(),
    portFindings(config, running),
    certificateFindings(config, name, Date.now()),
    bufferFindings(config.buffer),
    kafkaFindings(config),
  ]);
  return [nodeFinding(), ...findings.flat()];
}

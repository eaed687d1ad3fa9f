import { copyFile, constants } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { SluiceError } from '../errors.ts';

/** Every key with its default; what is off is commented out. A test loads it. */
const EXAMPLE = fileURLToPath(new URL('../../docs/sluice.example.yaml', import.meta.url));

export function initCommand(): Command {
  return new Command('init')
    .description('write a commented sluice.yaml with every key and its default')
    .argument('[file]', 'where to', 'sluice.yaml')
    .addOption(new Option('--force', 'write over what is there'))
    .action(async (file: string, { force }: { force?: true }) => {
      await copyFile(EXAMPLE, file, force === true ? 0 : constants.COPYFILE_EXCL).catch((error: unknown) => {
        const there = (error as NodeJS.ErrnoException).code === 'EEXIST';
        throw new SluiceError('CONFIG_UNREADABLE', `${file} cannot be written${there ? ': it is there already' : ''}`, {
          cause: error,
          hint: there ? 'name another file, or write over it with --force' : 'check the path and its permissions',
        });
      });
      process.stdout.write(`${file} is written. Now: sluice check -c ${file}, then sluice start -c ${file}\n`);
    });
}

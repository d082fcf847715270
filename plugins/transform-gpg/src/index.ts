import { definePlugin } from '@pgsilo/plugin';
import type { TransformDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';

const plugin: TransformDefinition<typeof options> = definePlugin({
  kind: 'transform',
  name: 'gpg',
  summary:
    'Encrypts to public keys, with a passphrase, or with a key of its own for each tenant; any gpg decrypts the result.',
  options,
  traits: { purpose: 'encryption' },
  create: async (chosen, setup) => (await import('./transform.ts')).createGpgTransform(chosen, setup),
});

export default plugin;

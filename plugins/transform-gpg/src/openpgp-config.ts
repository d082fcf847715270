import { enums } from 'openpgp';
import type { PartialConfig } from 'openpgp';

/** gpg 2.2 reads only the classic integrity-protected packets. What is encrypted has been compressed before, or was not meant to be. */
export const openpgpConfig: PartialConfig = {
  aeadProtect: false,
  preferredCompressionAlgorithm: enums.compression.uncompressed,
  showVersion: false,
  showComment: false,
};

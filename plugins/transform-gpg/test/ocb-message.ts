import { createCipheriv, randomBytes } from 'node:crypto';
import { encryptSessionKey } from 'openpgp';
import { readPublicKeys } from '../src/key-files.ts';

const chunkByte = 10;
const chunkBytes = 2 ** (chunkByte + 6);

/** A message with AES-256 in OCB mode, as gpg 2.4 writes it (draft-koch-librepgp, 5.16): which gpg is installed makes no difference to the test. */
export async function writeOcbMessage(recipient: string, body: Uint8Array): Promise<Buffer> {
  const [operator] = await readPublicKeys([recipient]);
  const key = new Uint8Array(randomBytes(32));
  const head = await encryptSessionKey({
    data: key,
    algorithm: 'aes256',
    encryptionKeys: operator!.key,
    format: 'binary',
  });
  const about = Buffer.of(1, 9, 2, chunkByte);
  const nonce = randomBytes(15);
  const literal = Buffer.concat([
    Buffer.of(0xcb),
    longLength(body.length + 6),
    Buffer.from('b\0\0\0\0\0'),
    body,
  ]);
  const seal = (index: number, plain: Uint8Array, total?: number): Buffer => {
    const own = Buffer.from(nonce);
    for (const [at, byte] of bigEndian(index).entries()) own[7 + at]! ^= byte;
    const cipher = createCipheriv('aes-256-ocb', key, own, { authTagLength: 16 });
    const end = total === undefined ? [] : [bigEndian(total)];
    cipher.setAAD(Buffer.concat([Buffer.of(0xd4), about, bigEndian(index), ...end]));
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  };
  const sealed: Buffer[] = [];
  for (let at = 0; at < literal.length; at += chunkBytes)
    sealed.push(seal(sealed.length, literal.subarray(at, at + chunkBytes)));
  sealed.push(seal(sealed.length, Buffer.alloc(0), literal.length));
  const content = Buffer.concat([about, nonce, ...sealed]);
  return Buffer.concat([head, Buffer.of(0xd4), longLength(content.length), content]);
}

function longLength(bytes: number): Buffer {
  const length = Buffer.alloc(5, 0xff);
  length.writeUInt32BE(bytes, 1);
  return length;
}

function bigEndian(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

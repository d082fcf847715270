const magic = 0xfd2fb528;
const checksumBytes = 4;
const blockHeadBytes = 3;
/** Bytes of the dictionary's number, and of the content's size where it is more than one byte, by their two bits. */
const numberBytes = [0, 1, 2, 4] as const;
const sizeBytes = [0, 2, 4, 8] as const;
const runOfOneByte = 1;

/**
 * Whether these bytes are exactly one frame (RFC 8878, 3.1.1), from its first byte to its last. What is in its blocks is not looked at.
 * A decompressor that reads frame after frame would wait for the rest of one that was cut, and take the next one's bytes for it.
 */
export function isOneFrame(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 6 || view.getUint32(0, true) !== magic) return false;
  const about = bytes[4]!;
  const single = (about & 0x20) !== 0;
  const hasChecksum = (about & 0x04) !== 0;
  const size = about >> 6 === 0 && single ? 1 : sizeBytes[(about >> 6) as 0 | 1 | 2 | 3];
  let at = 5 + (single ? 0 : 1) + numberBytes[(about & 3) as 0 | 1 | 2 | 3] + size;
  for (let last = false; !last;) {
    if (at + blockHeadBytes > bytes.length) return false;
    const head = view.getUint16(at, true) | (bytes[at + 2]! << 16);
    last = (head & 1) !== 0;
    at += blockHeadBytes + (((head >> 1) & 3) === runOfOneByte ? 1 : head >> 3);
  }
  return at + (hasChecksum ? checksumBytes : 0) === bytes.length;
}

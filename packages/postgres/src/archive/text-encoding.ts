import { invalidArchive } from './invalid.ts';

/** Decodes bytes of the archive; throws `source.archive-invalid` when they are not of the encoding. */
export type DecodeText = (bytes: Uint8Array) => string;

/** PostgreSQL's server encodings, by the label that the platform's decoder knows them under. */
const labels: Readonly<Record<string, string>> = {
  UTF8: 'utf-8',
  LATIN2: 'iso-8859-2',
  LATIN3: 'iso-8859-3',
  LATIN4: 'iso-8859-4',
  LATIN5: 'iso-8859-9',
  LATIN6: 'iso-8859-10',
  LATIN7: 'iso-8859-13',
  LATIN8: 'iso-8859-14',
  LATIN9: 'iso-8859-15',
  LATIN10: 'iso-8859-16',
  ISO_8859_5: 'iso-8859-5',
  ISO_8859_6: 'iso-8859-6',
  ISO_8859_7: 'iso-8859-7',
  ISO_8859_8: 'iso-8859-8',
  WIN866: 'ibm866',
  WIN874: 'windows-874',
  WIN1250: 'windows-1250',
  WIN1251: 'windows-1251',
  WIN1252: 'windows-1252',
  WIN1253: 'windows-1253',
  WIN1254: 'windows-1254',
  WIN1255: 'windows-1255',
  WIN1256: 'windows-1256',
  WIN1257: 'windows-1257',
  WIN1258: 'windows-1258',
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
  EUC_JP: 'euc-jp',
  EUC_KR: 'euc-kr',
  EUC_CN: 'gbk',
  SJIS: 'shift_jis',
  GBK: 'gbk',
  GB18030: 'gb18030',
  BIG5: 'big5',
  UHC: 'euc-kr',
};

/**
 * Decoder for an encoding by PostgreSQL's name. pg_dump writes in the database's own encoding.
 * SQL_ASCII means "bytes, nobody knows": UTF-8 where they are that, else one character for each byte. What no decoder knows may hold ASCII only.
 */
export function textDecoder(encoding: string): DecodeText {
  if (encoding === 'LATIN1') return (bytes) => view(bytes).toString('latin1', 0, bytes.length);
  const label = labels[encoding];
  const strict = new TextDecoder(label ?? 'utf-8', { fatal: true, ignoreBOM: true });
  const isUtf8 = encoding === 'UTF8' || encoding === 'SQL_ASCII';
  return (bytes) => {
    const buffer = view(bytes);
    if (bytes.length < 64 && isAscii(bytes)) return buffer.toString('latin1', 0, bytes.length);
    if (!isUtf8 && label === undefined) {
      if (isAscii(bytes)) return buffer.toString('latin1', 0, bytes.length);
      throw invalidArchive(`a name or definition is in the encoding ${encoding}, which pgsilo cannot decode`);
    }
    try {
      return strict.decode(bytes);
    } catch (error) {
      if (encoding === 'SQL_ASCII') return buffer.toString('latin1', 0, bytes.length);
      throw invalidArchive(`a name or definition is not of the encoding ${encoding}`, error);
    }
  };
}

function isAscii(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at]! > 127) return false;
  return true;
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

import { bodyOf, collect, dumpLikeBody } from '../bodies.ts';
import { broken, mustReject } from './check.ts';
import { decodeBytes, encodeBytes, transformCheck } from './transform-subject.ts';
import type { EncodedBytes, TransformCheck, TransformUnderCheck } from './transform-subject.ts';

const mebibyte = 1024 * 1024;
const randomPlaces = 40;

async function mustRefuse(
  subject: TransformUnderCheck,
  bytes: Uint8Array,
  encoded: EncodedBytes,
  what: string,
): Promise<void> {
  await mustReject(decodeBytes(subject, bytes, encoded.parameters), 'transform.corrupt', `decoding ${what}`);
}

function smallBody(subject: TransformUnderCheck): Promise<EncodedBytes> {
  return encodeBytes(subject, dumpLikeBody(400));
}

function largeBody(subject: TransformUnderCheck): Promise<EncodedBytes> {
  return encodeBytes(subject, dumpLikeBody(subject.severalBlocks ?? 5 * mebibyte));
}

/** Where encode yielded one chunk and began another: blocks begin and end at such places. */
function boundaries({ chunks }: EncodedBytes): number[] {
  const places: number[] = [];
  let at = 0;
  for (const chunk of chunks) places.push((at += chunk.length));
  return places.slice(0, -1);
}

/** The same places at each run, spread over all of it. */
function spread(length: number, count: number): number[] {
  return Array.from(
    { length: count },
    (_, index) => Math.floor(((index + ((index * 0.618) % 1)) / count) * length) % length,
  );
}

function flipped(bytes: Buffer, place: number, mask: number): Buffer {
  const altered = Buffer.from(bytes);
  altered[place] = altered[place]! ^ mask;
  return altered;
}

export const transformStrictChecks: readonly TransformCheck[] = [
  transformCheck(
    {
      name: 'cut input',
      promise:
        'Input that was cut, at any place, block boundaries included, makes decode throw transform.corrupt.',
      reason: 'A backup that lost its end would restore as a smaller database, without an error.',
    },
    async (subject) => {
      const small = await smallBody(subject);
      for (let length = 0; length < small.bytes.length; length += 1) {
        await mustRefuse(
          subject,
          small.bytes.subarray(0, length),
          small,
          `the first ${length} of ${small.bytes.length} bytes`,
        );
      }
      const large = await largeBody(subject);
      const places = new Set([
        ...boundaries(large).slice(0, 20),
        ...boundaries(large).slice(-20),
        ...spread(large.bytes.length, randomPlaces),
      ]);
      for (const place of places) {
        await mustRefuse(
          subject,
          large.bytes.subarray(0, place),
          large,
          `the first ${place} of ${large.bytes.length} bytes`,
        );
      }
    },
  ),
  transformCheck(
    {
      name: 'altered input',
      promise: 'Input in which any bit was changed makes decode throw transform.corrupt.',
      reason: 'A bad disk would put wrong rows into a restored database.',
    },
    async (subject) => {
      const small = await smallBody(subject);
      for (let place = 0; place < small.bytes.length; place += 1) {
        for (const mask of [1 << (place % 8), 0x80 >> (place % 3)]) {
          await mustRefuse(
            subject,
            flipped(small.bytes, place, mask),
            small,
            `with byte ${place} of ${small.bytes.length} changed by ${mask}`,
          );
        }
      }
      const large = await largeBody(subject);
      for (const place of spread(large.bytes.length, randomPlaces)) {
        await mustRefuse(
          subject,
          flipped(large.bytes, place, 1),
          large,
          `with byte ${place} of ${large.bytes.length} changed`,
        );
      }
    },
  ),
  transformCheck(
    {
      name: 'rearranged input',
      promise:
        'Input from which a middle piece was taken, doubled or exchanged makes decode throw transform.corrupt.',
      reason: 'Parts of an upload can be lost or mixed up where each of them is sound.',
    },
    async (subject) => {
      const large = await largeBody(subject);
      const { bytes } = large;
      const places = [0, ...boundaries(large).slice(0, 12), bytes.length];
      let tried = 0;
      for (let from = 0; from < places.length - 1; from += 1) {
        for (const width of [1, 2]) {
          const [start, end, next] = [places[from], places[from + width], places[from + 2 * width]];
          // Without its last piece it would be cut, which is another check's concern.
          if (start === undefined || end === undefined || end === bytes.length) continue;
          const [before, piece, after] = [
            bytes.subarray(0, start),
            bytes.subarray(start, end),
            bytes.subarray(end),
          ];
          const where = `from byte ${start} to ${end}`;
          await mustRefuse(subject, Buffer.concat([before, after]), large, `without what stands ${where}`);
          await mustRefuse(
            subject,
            Buffer.concat([before, piece, piece, after]),
            large,
            `with what stands ${where} doubled`,
          );
          tried += 1;
          if (next === undefined || next === bytes.length) continue;
          const exchanged = Buffer.concat([before, bytes.subarray(end, next), piece, bytes.subarray(next)]);
          if (!exchanged.equals(bytes))
            await mustRefuse(subject, exchanged, large, `with what stands ${where} after what follows it`);
        }
      }
      if (tried === 0)
        broken('encode yields everything as one chunk: name severalBlocks, or yield as blocks are done');
    },
  ),
  transformCheck(
    {
      name: 'input with more behind it',
      promise: 'Bytes behind the end make decode throw transform.corrupt.',
      reason:
        'What was appended by mistake or on purpose would be restored, or hide that two objects were mixed up.',
    },
    async (subject) => {
      const small = await smallBody(subject);
      for (const more of [Buffer.from([0]), Buffer.from('x'), small.bytes]) {
        await mustRefuse(
          subject,
          Buffer.concat([small.bytes, more]),
          small,
          `with ${more.length} bytes behind the end`,
        );
      }
    },
  ),
  transformCheck(
    {
      name: 'foreign input',
      promise: 'Input that encode never wrote makes decode throw transform.corrupt.',
      reason: 'A wrong file must be told from a damaged program.',
    },
    async (subject) => {
      const { parameters } = await smallBody(subject);
      for (const text of ['', 'PGDMP', 'x'.repeat(100_000)]) {
        const call = collect(subject.transform.decode(bodyOf(text), parameters, subject.context));
        await mustReject(call, 'transform.corrupt', `decoding ${text.length} bytes that were never encoded`);
      }
    },
  ),
];

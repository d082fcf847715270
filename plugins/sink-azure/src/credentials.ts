import type { DefaultAzureCredential } from '@azure/identity';
import { AnonymousCredential, StorageSharedKeyCredential } from '@azure/storage-blob';
import { PgsiloError, Secret } from '@pgsilo/plugin';
import type { Options } from './options.ts';

/** Where the account is, and what opens it. */
export interface Login {
  readonly url: string;
  readonly credential: AnonymousCredential | StorageSharedKeyCredential | DefaultAzureCredential;
}

/** Throws `config.invalid` for options that contradict each other or say too little. */
export async function loginOf(options: Options): Promise<Login> {
  const { account, key, sas, endpoint } = withConnectionString(options);
  if (key && sas)
    throw contradiction('sas', 'both a key and a shared access signature are given', 'Give one of them.');
  const url = endpoint ?? (account && `https://${account}.blob.core.windows.net`);
  if (!url)
    throw contradiction(
      undefined,
      'it is not said which account',
      'Give `account`, `endpoint` or `connectionString`.',
    );
  if (sas) return { url: `${url}?${sas.reveal().replace(/^\?/, '')}`, credential: new AnonymousCredential() };
  if (!key) return { url, credential: await identity(url) };
  if (!account) throw contradiction('key', 'a key needs the name of its account', 'Give `account` too.');
  return { url, credential: new StorageSharedKeyCredential(account, key.reveal()) };
}

type Parts = Pick<Options, 'account' | 'key' | 'sas' | 'endpoint'>;

function withConnectionString(options: Options): Parts {
  const { connectionString, account, key, sas, endpoint } = options;
  const given: Parts = { account, key, sas, endpoint };
  if (connectionString === undefined) return remembered(given);
  const other = (Object.keys(given) as (keyof Parts)[]).find((name) => given[name] !== undefined);
  if (other) throw contradiction(other, `connectionString and ${other} are both given`, 'Give one of them.');
  return remembered(parse(connectionString.reveal()));
}

function parse(text: string): Parts {
  // Values may hold `=`: keys end in it.
  const fields = new Map(
    text.split(';').map((field) => {
      const at = field.indexOf('=');
      return [field.slice(0, at).trim().toLowerCase(), field.slice(at + 1).trim()];
    }),
  );
  const field = (name: string) => fields.get(name.toLowerCase()) || undefined;
  const account = field('AccountName');
  const suffix = field('EndpointSuffix') ?? 'core.windows.net';
  const scheme = field('DefaultEndpointsProtocol') ?? 'https';
  const endpoint = field('BlobEndpoint') ?? (account && `${scheme}://${account}.blob.${suffix}`);
  const key = field('AccountKey');
  const sas = field('SharedAccessSignature');
  if (!endpoint || (!key && !sas))
    throw contradiction(
      'connectionString',
      'the connection string names no account or holds no key and no signature',
      'It is like DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…;EndpointSuffix=core.windows.net.',
    );
  return {
    account,
    endpoint,
    key: key ? new Secret(key) : undefined,
    sas: sas ? new Secret(sas) : undefined,
  };
}

/** A signature is seen in URLs without the rest of its token, so that it is a secret of its own. */
function remembered(parts: Parts): Parts {
  const signature = new URLSearchParams(parts.sas?.reveal().replace(/^\?/, '')).get('sig');
  if (signature) void new Secret(signature);
  return { ...parts, endpoint: parts.endpoint?.replace(/\/+$/, '') };
}

async function identity(url: string): Promise<DefaultAzureCredential> {
  if (!url.startsWith('https:'))
    throw contradiction(
      'endpoint',
      'tokens are not sent without TLS',
      'Give `key` or `sas`, or an endpoint with https.',
    );
  try {
    const sdk = await import('@azure/identity');
    return new sdk.DefaultAzureCredential();
  } catch (cause) {
    throw new PgsiloError(
      'config.invalid',
      'there is no key and no sas, and @azure/identity cannot be loaded',
      {
        cause,
        hint: 'Give `key`, `sas` or `connectionString`, or `npm install @azure/identity` for the identity of the machine.',
      },
    );
  }
}

function contradiction(option: keyof Options | undefined, message: string, hint: string): PgsiloError {
  const where = option === undefined ? {} : { option };
  return new PgsiloError('config.invalid', message, { hint, ...where });
}
